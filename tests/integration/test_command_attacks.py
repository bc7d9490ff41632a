"""Attacks on the roles: each is tried on the writer itself, in the order in which its queue has the commands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.command.domain import (
    AddAccountMember,
    CancelBooking,
    CloseAccount,
    Command,
    CreateAccount,
    CreateBooking,
    CreateCluster,
    CreateGrant,
    CreateProject,
    GrantRole,
    ProjectState,
    RevokeRole,
    evolve,
)
from services.command.domain.access import authorise
from services.command.domain.commands import Context
from services.command.domain.copies import freeze
from services.command.handler.handler import CommandHandler
from services.command.handler.snapshots import decode_state, encode_state
from shared.capacity import Capacity
from shared.errors import HourbookError, UnknownId
from shared.event_store import EventStore
from shared.events import BookingCreated, Role, decode_event, decode_events
from shared.hours import Period, hour_of, instant_of
from shared.identity.principals import Principal, person, trusted
from shared.identity.roles import NOBODY, RIGHTS, ROLES, Limit, Policy
from shared.tasks import end_tasks
from tests.support.backends import connected
from tests.support.ground import DAY as ONE_DAY
from tests.support.ground import Ground, grounded
from tests.support.listening import BOUND_S
from tests.support.signed_in import signed_in, with_token

T0 = hour_of(datetime(2086, 1, 1, tzinfo=UTC))
DAY, NEXT_DAY = Period(T0, T0 + 24), Period(T0 + 24, T0 + 48)
ROOT, ADA, BOB, EVE = (person("egi", name, (), "oidc") for name in ("root", "ada", "bob", "eve"))
OPS = person("egi", "zoe", ("ops",), "oidc")
POLICY = Policy(0, {ROOT.id: RIGHTS["admin"]})
OK = "ok"
EVENTS_MAX = 1_000_000


class Writers:
    """Command processes on one database. Each has a queue and a writer of its own."""

    def __init__(self, database_url: str, stack: contextlib.AsyncExitStack) -> None:
        self._database_url, self._stack = database_url, stack

    def handler(self) -> CommandHandler:
        return CommandHandler(self._database_url, policy=POLICY)

    def start(self, handler: CommandHandler) -> CommandHandler:
        self._stack.push_async_callback(end_tasks, asyncio.create_task(handler.run()))
        return handler


@pytest.fixture
async def writers(database_url: str) -> AsyncIterator[Writers]:
    async with contextlib.AsyncExitStack() as stack:
        yield Writers(database_url, stack)


async def send(
    handler: CommandHandler,
    principal: Principal,
    command: Command,
    *,
    at: datetime | None = None,
    project: str = "gaia",
) -> str:
    """OK, or the code of the refusal; of what is hidden: `hidden`."""
    context = Context(command=uuid4(), principal=principal, at=at or datetime.now(UTC))
    try:
        await handler.submit(project, command, context)
    except HourbookError as error:
        return "hidden" if error.denied and isinstance(error, UnknownId) else error.code
    return OK


async def gaia(handler: CommandHandler) -> None:
    for command in (
        CreateProject(project="gaia", name="Gaia"),
        CreateGrant(grant=uuid4(), period=Period(T0, T0 + 240), capacity=Capacity(cores=100)),
        CreateCluster(cluster="gaia.spark", parent="gaia", kind="k", period=DAY, capacity=Capacity(cores=9)),
        CreateCluster(cluster="gaia.spark.deep", parent="gaia.spark", kind="k", period=DAY, capacity=Capacity(cores=3)),
        CreateAccount(account="team", name="team"),
        CreateAccount(account="crew", name="crew"),
    ):
        assert await send(handler, ROOT, command) == OK


def booking(pool: str = "gaia", account: str = "team", booking_id: UUID | None = None, **of: Any) -> CreateBooking:
    of = {"period": DAY, "capacity": Capacity(cores=1)} | of
    return CreateBooking(booking=booking_id or uuid4(), pool=pool, account=account, **of)


def given(member: Principal | str, role: Role, pool: str = "gaia") -> GrantRole:
    return GrantRole(pool=pool, role=role, member=member if isinstance(member, str) else member.id)


def taken(member: Principal | str, role: Role, pool: str = "gaia") -> RevokeRole:
    return RevokeRole(pool=pool, role=role, member=member if isinstance(member, str) else member.id)


async def in_one_batch(handler: CommandHandler, *asked: tuple[Principal, Command]) -> list[str]:
    """Puts the commands into the queue before the writer looks: it decides them as one batch, in this order."""
    answers = [asyncio.create_task(send(handler, principal, command)) for principal, command in asked]
    return await asyncio.gather(*answers)


async def test_within_a_batch_each_command_has_the_rights_that_those_before_it_left(writers: Writers) -> None:
    handler = writers.start(writers.handler())
    await gaia(handler)
    queued = [
        (ADA, booking()),
        (ROOT, given(ADA, "manager")),
        (ADA, booking()),
        (ROOT, taken(ADA, "manager")),
        (ADA, booking()),
        (ROOT, given(ADA, "member")),
        (ADA, booking()),
        (ROOT, AddAccountMember(account="team", member=ADA.id)),
        (ADA, booking()),
    ]
    other = writers.handler()
    answers = asyncio.create_task(in_one_batch(other, *queued))
    while other.waiting < len(queued):
        await asyncio.sleep(0)
    writers.start(other)
    assert await answers == ["hidden", OK, OK, OK, "hidden", OK, "forbidden", OK, OK]


async def test_a_role_that_one_process_revoked_is_gone_in_the_other_at_once(writers: Writers) -> None:
    one, other = writers.start(writers.handler()), writers.start(writers.handler())
    await gaia(one)
    assert await send(one, ROOT, given(ADA, "manager")) == OK
    held = booking()
    assert await send(other, ADA, held) == OK  # its state has the role now
    for _ in range(5):
        assert await send(one, ROOT, taken(ADA, "manager")) == OK
        dry = Context(command=uuid4(), principal=ADA, at=datetime.now(UTC))
        with pytest.raises(UnknownId):
            await other.submit("gaia", booking(), dry, dry_run=True)
        assert await send(other, ADA, CancelBooking(booking=held.booking)) == "hidden"
        assert await send(one, ROOT, given(ADA, "manager")) == OK
        assert await send(other, ADA, booking()) == OK
        assert await send(one, ROOT, taken(ADA, "manager")) == OK
        with pytest.raises(UnknownId):
            await other.require("gaia", "manager", ADA)
        assert await send(one, ROOT, given(ADA, "manager")) == OK


@pytest.mark.parametrize("role", ROLES)
async def test_nobody_gives_what_they_have_not(writers: Writers, role: Role) -> None:
    handler = writers.start(writers.handler())
    await gaia(handler)
    assert await send(handler, ROOT, given(ADA, role)) == OK
    assert await send(handler, ROOT, given(BOB, "admin", "gaia.spark")) == OK
    may_give = OK if role == "admin" else "forbidden"
    for wanted in ROLES:
        assert await send(handler, ADA, given(EVE, wanted)) == may_give, wanted
        assert await send(handler, ADA, given(ADA, wanted, "gaia.spark")) == may_give, wanted
        assert await send(handler, BOB, given(EVE, wanted, "gaia.spark")) == OK, wanted
        assert await send(handler, BOB, given(BOB, wanted)) == "hidden", wanted
    limited = Principal(id="token:1", auth="token", members=frozenset({"token:1", ROOT.id}), maker=ROOT.id, limits=())
    for bounds in ((Limit(role, "gaia"),), (Limit("manager"), Limit("auditor"), Limit(role, "gaia.spark"))):
        token = Principal(id=limited.id, auth="token", members=limited.members, maker=limited.maker, limits=bounds)
        can = role == "admin" and bounds == (Limit("admin", "gaia"),)
        assert await send(handler, token, given("egi:new", "viewer")) == (OK if can else "forbidden")


async def test_a_role_is_of_its_pool_and_not_of_one_whose_name_begins_alike(writers: Writers) -> None:
    handler = writers.start(writers.handler())
    await gaia(handler)
    like = CreateCluster(cluster="gaia.spark2", parent="gaia", kind="k", period=DAY, capacity=Capacity(cores=9))
    assert await send(handler, ROOT, like) == OK
    assert await send(handler, ROOT, CreateProject(project="gaia2", name="G"), project="gaia2") == OK
    assert await send(handler, ROOT, given(ADA, "admin", "gaia.spark")) == OK
    assert await send(handler, ROOT, given(BOB, "admin")) == OK
    for pool, allowed in (("gaia.spark", OK), ("gaia.spark.deep", OK), ("gaia.spark2", "hidden"), ("gaia", "hidden")):
        assert await send(handler, ADA, booking(pool)) == allowed, pool
    for who in (ADA, BOB):
        assert await send(handler, who, booking("gaia2"), project="gaia2") == "hidden"
    assert await send(handler, BOB, booking("gaia.spark2")) == OK


async def test_a_project_keeps_an_admin_in_whatever_order_admins_revoke(writers: Writers) -> None:
    handler = writers.start(writers.handler())
    await gaia(handler)  # ROOT is its admin
    assert await send(handler, ROOT, given(ADA, "admin")) == OK
    other = writers.handler()
    both = asyncio.create_task(
        in_one_batch(other, (ADA, taken(ROOT, "admin")), (ROOT, taken(ADA, "admin")), (ADA, taken(ADA, "admin")))
    )
    while other.waiting < 3:
        await asyncio.sleep(0)
    writers.start(other)
    assert await both == [OK, "last_admin", "last_admin"]  # ROOT is an admin of the whole ledger still
    assert await send(handler, ADA, given("group:egi:ops", "admin")) == OK
    assert await send(handler, ADA, taken(ADA, "admin")) == OK
    assert await send(handler, ADA, given(ADA, "admin")) == "hidden"
    assert await send(handler, OPS, taken("group:egi:ops", "admin")) == "last_admin"
    assert (
        await send(handler, OPS, given(ADA, "admin", "gaia.spark")) == OK
    )  # an admin of a part is none of the project
    assert await send(handler, OPS, taken("group:egi:ops", "admin")) == "last_admin"


async def test_a_clusters_name_used_again_inherits_no_role_also_after_a_restart(
    writers: Writers, database_url: str
) -> None:
    handler = writers.start(writers.handler())
    await gaia(handler)
    for pool in ("gaia.spark", "gaia.spark.deep"):
        assert await send(handler, ROOT, given(ADA, "admin", pool)) == OK
    assert await send(handler, ROOT, AddAccountMember(account="team", member=ADA.id)) == OK
    later = instant_of(DAY.end) + timedelta(minutes=5)
    old = await state_of(database_url)
    kept = restored(old)
    assert (kept.bindings, kept.members) == (old.bindings, old.members)
    for pool in ("gaia.spark", "gaia.spark.deep"):
        authorise(kept, "gaia", booking(pool), ADA, NOBODY)
    period, size = Period(T0 + 30, T0 + 60), Capacity(cores=9)
    for cluster, parent in (("gaia.spark", "gaia"), ("gaia.spark.deep", "gaia.spark")):
        again = CreateCluster(cluster=cluster, parent=parent, kind="k", period=period, capacity=size)
        assert await send(handler, ADA, again, at=later) == "hidden"  # a role on the old one is none on its parent
        assert await send(handler, ROOT, again, at=later) == OK
        for process in (handler, writers.start(writers.handler())):
            assert await send(process, ADA, booking("gaia.spark.deep", period=period), at=later) == "hidden"
    new = restored(await state_of(database_url))
    assert set(new.bindings) == {"gaia"}
    for pool in ("gaia.spark", "gaia.spark.deep"):
        with pytest.raises(UnknownId):
            authorise(new, "gaia", booking(pool), ADA, NOBODY)


def restored(state: ProjectState) -> ProjectState:
    """The state as a snapshot gives it back."""
    return decode_state(encode_state(freeze(state)), state.version)


async def state_of(database_url: str) -> ProjectState:
    async with connected(database_url) as connection:
        events, _ = await EventStore(connection).stream_data_after("gaia", 0, EVENTS_MAX)
    state = ProjectState()
    for data in events:
        evolve(state, decode_event(data))
    return state


async def test_a_member_books_for_their_accounts_only_and_a_closed_account_books_nothing(writers: Writers) -> None:
    handler = writers.start(writers.handler())
    await gaia(handler)
    held, mine = booking(account="crew"), booking(account="team")
    own = CreateAccount(account=ADA.id, name="Ada")
    for command in (held, own, given(ADA, "member"), AddAccountMember(account="team", member=ADA.id)):
        assert await send(handler, ROOT, command) == OK
    assert await send(handler, ADA, mine) == OK
    assert await send(handler, ADA, booking(account=ADA.id)) == OK
    for account in ("crew", "nobody", BOB.id, "Team", ADA.id.upper()):
        assert await send(handler, ADA, booking(account=account)) == "forbidden", account
    assert await send(handler, ADA, CancelBooking(booking=held.booking)) == "forbidden"
    assert await send(handler, ROOT, CloseAccount(account="team")) == OK
    assert await send(handler, ADA, booking()) == "refused"
    assert await send(handler, ADA, CancelBooking(booking=mine.booking)) == OK  # what it has can be given back


async def test_where_no_account_is_listed_a_member_books_under_their_own_name(writers: Writers) -> None:
    """A name that anybody may take gives nobody the right to what it has booked."""
    handler = writers.start(writers.handler())
    for command in (
        CreateProject(project="gaia", name="Gaia"),
        CreateGrant(grant=uuid4(), period=DAY, capacity=Capacity(cores=9)),
        given(ADA, "member"),
        given(BOB, "member"),
        given(EVE, "manager"),
    ):
        assert await send(handler, ROOT, command) == OK
    mine = booking(account=ADA.id)
    assert await send(handler, ADA, mine) == OK
    assert await send(handler, BOB, CancelBooking(booking=mine.booking)) == "forbidden"
    assert await send(handler, BOB, booking(account=ADA.id)) == "forbidden"
    context = Context(command=uuid4(), principal=ADA, at=datetime.now(UTC))
    with pytest.raises(HourbookError, match="the project lists no accounts, so you book as 'egi:ada'"):
        await handler.submit("gaia", booking(account="thesis"), context)
    assert await send(handler, EVE, booking(account="thesis")) == OK
    assert await send(handler, EVE, CancelBooking(booking=mine.booking)) == OK


async def test_each_event_says_how_its_actor_was_proven(writers: Writers, database_url: str) -> None:
    handler = writers.start(writers.handler())
    await gaia(handler)
    of_zoe = Principal(
        id="token:1", auth="token", members=frozenset({"token:1", ROOT.id}), maker=ROOT.id, limits=(Limit("admin"),)
    )
    operators = Principal(
        id="token:2", auth="token", members=frozenset({"token:2"}), limits=(Limit("manager", "gaia"),), trusted=True
    )
    keystone = person("ours", "zoe", (), "keystone")
    assert await send(handler, ROOT, given(keystone, "manager")) == OK
    senders = (ROOT, keystone, of_zoe, operators, trusted("anybody"))
    for sender in senders:
        assert await send(handler, sender, booking()) == OK
    async with connected(database_url) as connection:
        stored, _ = await EventStore(connection).stream_data_after("gaia", 0, EVENTS_MAX)
    events = decode_events(stored)
    booked = [(event.actor, event.auth) for event in events if isinstance(event, BookingCreated)]
    assert booked == [(sender.id, sender.auth) for sender in senders]
    assert [auth for _, auth in booked] == ["oidc", "keystone", "token", "token", None]


@pytest.fixture
async def ground(database_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    async with grounded(database_url, tmp_path) as ground:
        yield ground


BOOKING = {"project": "gaia", "account": "team", "cores": 1, **ONE_DAY}


async def ask(ground: Ground, who: dict[str, str], path: str, body: Any = None, key: str | None = None) -> Any:
    return await ground.ask("POST", path, body or {}, who if key is None else who | {"Idempotency-Key": key})


async def test_two_principals_have_two_keys_of_the_same_text(ground: Ground) -> None:
    await ground.give("gaia", "manager", "egi:ada")
    ada, root = await signed_in(ground.database_url, "egi:ada"), ground.root
    spoofed = ada | {"X-Hourbook-Actor": "egi:root"}
    first = await ask(ground, root, "/bookings/create", BOOKING, "1")
    for headers in (ada, spoofed):
        second = await ask(ground, headers, "/bookings/create", BOOKING, "1")
        assert second.json()["id"] != first.json()["id"]
    other = await ask(ground, ada, "/bookings/create", BOOKING | {"cores": 2}, "1")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


async def test_a_denied_command_keeps_no_key_and_drives_none_out(ground: Ground) -> None:
    eve = await signed_in(ground.database_url, "egi:eve")
    await ground.give("gaia", "reader", "egi:eve")
    refused = BOOKING | {"cores": 100_000}
    assert (await ask(ground, ground.root, "/bookings/create", refused, "mine")).status_code == 409
    kept = "SELECT array_agg(request_id ORDER BY request_id) FROM remembered_answer"
    async with connected(ground.database_url) as connection:
        before = await connection.fetchval(kept)
        assert len(before) == 1
        for number in range(20):
            for path, body in (
                ("/bookings/create", BOOKING),
                ("/bookings/{booking}/cancel", {}),
                (f"/bookings/{uuid4()}/cancel", {}),
                ("/resources/create", {"project": "beta", "cores": 1, **ONE_DAY}),
                ("/webhooks", {"url": "https://hooks.example/x", "project": "gaia"}),
                ("/webhooks", {"url": "https://hooks.example/x"}),
                (f"/webhooks/{uuid4()}/resume", None),
            ):
                assert (await ask(ground, eve, path, body, f"{path} {number}")).status_code in (403, 404)
        assert await connection.fetchval(kept) == before


async def test_a_forged_actor_changes_nothing(ground: Ground) -> None:
    eve = await signed_in(ground.database_url, "egi:eve") | {"X-Hourbook-Actor": "egi:root"}
    assert (await ask(ground, eve, "/bookings/create", BOOKING)).status_code == 404
    await ground.give("gaia", "member", "egi:eve")
    assert (await ask(ground, eve, "/bookings/create", BOOKING)).status_code == 403
    await ground.make("_", "/accounts/create", project="gaia", account="egi:eve")
    booked = await ask(ground, eve, "/bookings/create", BOOKING | {"account": "egi:eve"})
    assert booked.status_code == 201, booked.text
    assert (booked.json()["decided"][0]["actor"], booked.json()["decided"][0]["auth"]) == ("egi:eve", "oidc")


async def test_series_and_exclusive_clusters_of_other_accounts_are_not_a_members(ground: Ground) -> None:
    await ground.give("gaia", "member", "egi:ada")
    ada = await signed_in(ground.database_url, "egi:ada")
    exclusive = BOOKING | {"share": "100%"}
    asked: Sequence[tuple[str, Any]] = (
        ("/bookings/series/{series}/amend", {"cores": 1}),
        ("/bookings/{series}/cancel", {}),  # one occurrence
        ("/bookings/series/{series}/cancel", {}),
        ("/bookings/create", BOOKING | {"rrule": "FREQ=DAILY;COUNT=2"}),
        ("/bookings/create", exclusive),
    )
    for path, body in asked:
        assert (await ask(ground, ada, path, body)).status_code == 403, path
    await ground.make("_", "/accounts/team/members/add", project="gaia", member="egi:ada")
    for path, body in asked:
        assert (await ask(ground, ada, path, body)).status_code == 201, path
    await ground.give("gaia.spark", "member", "egi:bob")
    await ground.make("_", "/accounts/team/members/add", project="gaia", member="egi:bob")
    bob = await signed_in(ground.database_url, "egi:bob")
    assert (await ask(ground, bob, "/bookings/create", exclusive)).status_code == 404  # it takes from the project


async def test_a_token_ends_with_the_rights_of_its_maker(ground: Ground) -> None:
    await ground.give("gaia", "manager", "egi:ada")
    await ground.give("gaia", "manager", "group:egi:ops")
    ada = await with_token(ground.database_url, Limit("manager"), maker="egi:ada")
    zoe = await signed_in(ground.database_url, "egi:zoe", ["group:egi:ops"])
    of_zoe = await with_token(ground.database_url, Limit("manager", "gaia"), maker="egi:zoe")
    for headers, actor in ((ada, "token"), (of_zoe, "token"), (zoe, "oidc")):
        booked = await ask(ground, headers, "/bookings/create", BOOKING)
        assert booked.status_code == 201, booked.text
        assert booked.json()["decided"][0]["auth"] == actor
    role = {"pool": "gaia", "role": "manager", "member": "egi:ada"}
    assert (await ask(ground, ground.root, "/roles/revoke", role)).status_code == 201
    assert (await ask(ground, ada, "/bookings/create", BOOKING)).status_code == 404
    await changed(ground, "UPDATE person SET groups = '{}' WHERE id = 'egi:zoe'")
    await until_status(ground, of_zoe, 404)
    await changed(ground, "UPDATE person SET groups = '{group:egi:ops}' WHERE id = 'egi:zoe'")
    await until_status(ground, of_zoe, 201)
    await changed(ground, "DELETE FROM person WHERE id = 'egi:zoe'")
    await until_status(ground, of_zoe, 404)
    await changed(ground, "UPDATE token SET revoked_at = now()")
    await until_status(ground, of_zoe, 401)


async def changed(ground: Ground, statement: str) -> None:
    """Changes people or credentials as the service does: with a new version, at which every process looks."""
    async with connected(ground.database_url) as connection, connection.transaction():
        await connection.execute(statement)
        await connection.execute("UPDATE identity_head SET version = version + 1")


async def until_status(ground: Ground, who: dict[str, str], status: int) -> None:
    async with asyncio.timeout(BOUND_S):
        while (await ask(ground, who, "/bookings/create", BOOKING)).status_code != status:
            await asyncio.sleep(0.05)
