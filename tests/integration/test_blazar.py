"""Blazar's own enforcement filter, which asks a running Hourbook before a lease is made, changed, or when it ends."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from services.cli.up.embedded import free_port
from services.command.app import create_app
from services.command.settings import BlazarPolicy, Settings
from shared.events import decode_event
from shared.identity.roles import Limit
from tests.support.backends import as_role, connected
from tests.support.blazar import Blazar, blazar
from tests.support.listening import listening
from tests.support.own_environments import NotInstalled, skip_or_fail
from tests.support.signed_in import ADMIN, auth_file, signed_in, with_token

OPENSTACK, STRANGER = "5e3b7a0c9d1f4e62a8b0c4d6e8f01234", "0f" * 16
DAY = "2086-01-01"
MONTH = {"startdate": DAY, "enddate": "2086-01-31"}
GENERIC = "External service enforcement filter denied the request."
DOCUMENT = (Path(__file__).parents[2] / "docs/blazar.md").read_text()


def lease(starts: str, ends: str, cores: int = 4, **more: Any) -> dict[str, Any]:
    """A lease of one instance, as Blazar's database has it."""
    reservation = {"id": "r1", "resource_type": "virtual:instance", "amount": 1, "vcpus": cores, "memory_mb": 0}
    dates = {"start_date": f"{DAY}T{starts}:00", "end_date": f"{DAY}T{ends}:00"}
    known = {"name": "night", "user_id": "u", "project_id": OPENSTACK, "status": "CREATING"}
    return {**known, **dates, "reservations": [reservation], **more}


class Cloud:
    """A Hourbook with the project `cloud` and its account `team`, and a Blazar that asks it."""

    def __init__(self, hourbook: httpx.AsyncClient, ours: Blazar) -> None:
        self.hourbook, self.blazar = hourbook, ours

    async def create(self, lease: dict[str, Any]) -> str | None:
        return await asyncio.to_thread(self.blazar.check_create, lease)

    async def update(self, lease: dict[str, Any], **new: Any) -> str | None:
        return await asyncio.to_thread(self.blazar.check_update, lease, **new)

    async def end(self, lease: dict[str, Any]) -> None:
        assert await asyncio.to_thread(self.blazar.on_end, lease) is None
        assert self.blazar.error is None

    async def post(self, path: str, **body: Any) -> Any:
        answer = await self.hourbook.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def book(self, starts: str, ends: str, **counts: int) -> str:
        period = {"startdate": f"{DAY}T{starts}Z", "enddate": f"{DAY}T{ends}Z"}
        return str((await self.post("/bookings/create", project="cloud", account="team", **period, **counts))["id"])


def configuration(url: str, token: str) -> str:
    """The lines of blazar.conf, as docs/blazar.md has them."""
    lines = re.search(r"```ini\n(.*?)```", DOCUMENT, re.DOTALL)
    assert lines is not None
    return dedent(lines[1]).replace("http://hourbook.example.org:8080", url.rstrip("/")).replace("hbk_THE_TOKEN", token)


@asynccontextmanager
async def cloud_of(database_url: str, folder: Path, policy: BlazarPolicy) -> AsyncIterator[Cloud]:
    file = auth_file(folder, more='[keystone.ours]\nurl = "http://keystone.invalid/v3"\n')
    settings = Settings(database_url=as_role(database_url, "command"), auth_file=file, blazar_policy=policy)
    admin = await signed_in(database_url, ADMIN)
    ours = (await with_token(database_url, Limit("manager", "cloud")))["Authorization"].removeprefix("Bearer ")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(create_app(settings)))
        hourbook = await stack.enter_async_context(httpx.AsyncClient(base_url=url, headers=admin, timeout=60))
        cloud = Cloud(hourbook, stack.enter_context(blazar(folder, configuration(url, ours))))
        await cloud.post("/projects/create", id="cloud", name="Cloud")
        await cloud.post("/resources/create", project="cloud", servers=50, cores=100, memory=100_000, **MONTH)
        await cloud.post("/accounts/create", project="cloud", account="team")
        await cloud.post("/accounts/team/members/add", project="cloud", member=f"group:ours:{OPENSTACK}")
        yield cloud


@pytest.fixture
async def cloud(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cloud]:
    """`request.param` is the policy; without one, the default."""
    try:
        async with cloud_of(database_url, tmp_path, getattr(request, "param", "booked")) as cloud:
            yield cloud
    except NotInstalled as why:
        skip_or_fail(request, why)


books = pytest.mark.parametrize("cloud", ["book"], indirect=True)


async def test_a_lease_is_made_only_if_its_account_has_booked_every_hour_that_it_touches(cloud: Cloud) -> None:
    refused = await cloud.create(lease("10:30", "12:10"))
    assert refused is not None
    assert refused.startswith("Hourbook: the account 'team' has not booked this lease in 'cloud': it needs 1 servers")
    assert "4 cores from 2086-01-01T10:00:00Z to 2086-01-01T13:00:00Z, and 0 are left" in refused
    await cloud.book("10:00", "12:00", servers=9, cores=10)
    last_hour = "it needs 4 cores from 2086-01-01T12:00:00Z to 2086-01-01T13:00:00Z, and 3 are left"
    await cloud.book("12:00", "13:00", servers=9, cores=3)
    assert last_hour in (await cloud.create(lease("10:30", "12:10")) or "")
    await cloud.book("12:00", "13:00", cores=1)
    assert await cloud.create(lease("10:30", "12:10")) is None
    assert "0f0f0f" in (await cloud.create(lease("10:30", "12:10", project_id=STRANGER)) or "")


async def test_the_leases_of_an_account_share_what_it_has_booked(cloud: Cloud) -> None:
    await cloud.book("10:00", "14:00", servers=9, cores=8)
    assert await cloud.create(lease("10:00", "12:00", name="a")) is None
    assert await cloud.create(lease("11:59", "13:00", name="b")) is None
    assert "4 cores from 2086-01-01T11:00:00Z to 2086-01-01T12:00:00Z, and 0 are left" in (
        await cloud.create(lease("11:00", "14:00", name="c")) or ""
    )
    assert await cloud.create(lease("12:00", "14:00", name="c")) is None
    assert await cloud.create(lease("10:00", "12:00", name="a")) is not None  # alike is not the same
    await cloud.end(lease("10:00", "12:00", name="a", id="l1"))
    await cloud.end(lease("10:00", "12:00", name="a", id="l1"))
    assert await cloud.create(lease("11:00", "12:00", name="d")) is None


async def test_a_lease_is_changed_only_within_what_is_booked(cloud: Cloud) -> None:
    await cloud.book("10:00", "14:00", servers=2, cores=8)
    made = lease("10:00", "12:00", id="l1")
    assert await cloud.create(made) is None
    later = {"end_date": f"{DAY}T14:30:00"}
    assert "4 cores from 2086-01-01T14:00:00Z to 2086-01-01T15:00:00Z" in (await cloud.update(made, **later) or "")
    assert await cloud.update(made, end_date=f"{DAY}T14:00:00") is None
    changed = lease("10:00", "14:00", id="l1", name="renamed")  # a new name is not told
    larger = [{"id": "r1", "amount": "3", "resource_type": "virtual:instance"}]
    assert "12 cores" in (await cloud.update(changed, reservations=larger) or "")
    larger[0]["amount"] = "2"
    assert await cloud.update(changed, reservations=larger) is None
    assert await cloud.create(lease("10:00", "11:00")) is not None
    await cloud.end(changed)
    assert await cloud.create(lease("10:00", "11:00")) is None


async def test_two_leases_that_are_asked_for_at_once_never_use_the_same_booking(cloud: Cloud) -> None:
    await cloud.book("10:00", "12:00", servers=3, cores=12)
    headers = {"X-Hourbook-Actor": "blazar"}
    body = {"context": {"project_id": OPENSTACK}, "lease": lease("10:00", "12:00")}
    path = "/openstack/blazar/cloud/check-create"
    answers = await asyncio.gather(*(cloud.hourbook.post(path, json=body, headers=headers) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [204] * 3 + [403] * 5


async def test_hosts_and_flavors_count_as_what_they_are(cloud: Cloud) -> None:
    await cloud.book("10:00", "12:00", servers=2, cores=48, memory=3000)
    hosts = [{"vcpus": 24, "memory_mb": 1000}, {"vcpus": 24, "memory_mb": 2000}]
    reservation = {"id": "r1", "resource_type": "physical:host", "min": 1, "max": 2, "hosts": hosts}
    made = lease("10:00", "12:00", reservations=[reservation], id="l1")
    assert await cloud.create(made) is None
    more = [{"id": "r1", "resource_type": "physical:host", "max": 3}]
    assert "72 cores" in (await cloud.update(made, reservations=more) or "")
    await cloud.end(made)
    flavor = {"resource_type": "flavor:instance", "flavor_id": "f-1", "amount": 2, "affinity": None}
    floating = {"resource_type": "virtual:floatingip", "amount": 9, "network_id": "n"}
    of_flavor = lease("10:00", "12:00", reservations=[flavor, floating])
    assert "there is no template 'f-1' in the project" in (await cloud.create(of_flavor) or "")
    await cloud.post("/templates/create", project="cloud", name="f-1", servers=1, cores=24, tempdisc=99)
    assert await cloud.create(of_flavor) is None
    strange = lease("10:00", "12:00", reservations=[{"resource_type": "quantum:bit", "amount": 1}])
    assert await cloud.create(strange) == "Hourbook: resource_type: Hourbook does not count 'quantum:bit'"
    two = lease("10:00", "12:00", reservations=[reservation, reservation])
    assert "make one lease for each reservation of physical:host" in (await cloud.create(two) or "")


async def bookings_in(database_url: str) -> list[tuple[Any, ...]]:
    """What was decided about bookings: the type of each event, the hours, the cores, the actor."""
    async with connected(database_url) as connection:
        found = await connection.fetch("SELECT data FROM event WHERE type LIKE 'Booking%' ORDER BY position")
    events = [decode_event(row["data"]) for row in found]
    return [
        (type(event).__name__, event.start.hour, event.end.hour, event.capacity.cores, event.actor.partition(":")[0])
        for event in events
    ]


@books
async def test_with_the_policy_book_the_call_books_amends_and_gives_back_what_nobody_has_booked(
    cloud: Cloud, database_url: str
) -> None:
    person = ("BookingCreated", 20, 22, 4, "egi")
    await cloud.book("20:00", "22:00", servers=1, cores=4)
    assert await cloud.create(lease("20:00", "22:00", name="evening")) is None
    assert await bookings_in(database_url) == [person]  # it was booked already
    made = lease("10:30", "12:10", id="l1")
    assert await cloud.create(made) is None
    booked = ("BookingCreated", 10, 13, 4, "token")
    assert await bookings_in(database_url) == [person, booked]
    assert await cloud.update(made, end_date=f"{DAY}T15:20:00") is None
    amended = ("BookingAmended", 10, 16, 4, "token")
    assert await bookings_in(database_url) == [person, booked, amended]
    too_much = [{"id": "r1", "amount": 30, "resource_type": "virtual:instance"}]
    later = made | {"end_date": f"{DAY}T15:20:00"}
    assert "the amended booking asks 116 cores of 'cloud'" in (await cloud.update(later, reservations=too_much) or "")
    for _ in range(2):
        await cloud.end(later)
        await cloud.end(lease("20:00", "22:00", name="evening", id="l2"))
    cancelled = ("BookingCancelled", 10, 16, 4, "token")
    assert await bookings_in(database_url) == [person, booked, amended, cancelled]


@books
async def test_a_call_with_the_id_of_a_lease_is_carried_out_once(cloud: Cloud, database_url: str) -> None:
    body = {"context": {"project_id": OPENSTACK}, "lease": lease("10:00", "12:00", id="l1")}
    for _ in range(2):
        assert (await cloud.hourbook.post("/openstack/blazar/cloud/check-create", json=body)).status_code == 204
    assert await bookings_in(database_url) == [("BookingCreated", 10, 12, 4, "egi")]


async def test_what_is_no_pool_is_not_there(cloud: Cloud) -> None:
    body = {"context": {"project_id": OPENSTACK}, "lease": lease("10:00", "12:00")}
    for pool in ("a%00b", "%2e%2e", "Cloud"):
        answer = await cloud.hourbook.post(f"/openstack/blazar/{pool}/on-end", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_id"), answer.text


async def test_who_has_no_right_does_not_wait_for_the_leases_nor_hold_them(cloud: Cloud, database_url: str) -> None:
    stranger = await with_token(database_url, Limit("reader", "cloud"))
    body = {"context": {"project_id": OPENSTACK}, "lease": lease("10:00", "12:00")}
    async with connected(database_url) as connection, connection.transaction():
        await connection.execute("LOCK TABLE blazar_lease IN SHARE ROW EXCLUSIVE MODE")
        answer = await cloud.hourbook.post("/openstack/blazar/cloud/on-end", json=body, headers=stranger, timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@books
async def test_a_call_that_asks_for_a_dry_run_is_refused_and_changes_nothing(cloud: Cloud, database_url: str) -> None:
    body = {"context": {"project_id": OPENSTACK}, "lease": lease("10:00", "12:00", id="l1")}
    answer = await cloud.hourbook.post("/openstack/blazar/cloud/check-create", params={"dry_run": "true"}, json=body)
    assert (answer.status_code, answer.json()["because"]) == (403, "invalid_field"), answer.text
    assert await bookings_in(database_url) == []


async def test_a_token_without_the_right_refuses_every_lease_and_tells_the_user_nothing(
    cloud: Cloud, database_url: str, tmp_path: Path
) -> None:
    await cloud.book("10:00", "12:00", servers=9, cores=10)
    for limit in (Limit("reader", "cloud"), Limit("member", "cloud"), Limit("manager", "elsewhere")):
        token = await with_token(database_url, limit)
        answer = await cloud.hourbook.post(
            "/openstack/blazar/cloud/check-create",
            json={"context": {"project_id": OPENSTACK}, "lease": lease("10:00", "12:00")},
            headers={"X-Auth-Token": token["Authorization"].removeprefix("Bearer ")},
        )
        assert (answer.status_code, "message" in answer.json()) == (404 if limit.pool == "elsewhere" else 403, False)
    with blazar(tmp_path, configuration(str(cloud.hourbook.base_url), "hbk_wrong")) as other:
        cloud.blazar = other
        assert await cloud.create(lease("10:00", "12:00")) == GENERIC
    with blazar(tmp_path, configuration(f"http://127.0.0.1:{free_port()}", "hbk_wrong")) as away:
        cloud.blazar = away
        assert (await cloud.create(lease("10:00", "12:00")), away.error) == ("", "ConnectionError")
