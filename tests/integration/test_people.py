"""The directory of people: filled beside the requests, shown to those who see names, and erased for good."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar import Litestar
from litestar.testing import AsyncTestClient

from services.cli.audit.export import export
from services.command.app import create_app as create_command
from services.command.routes.credentials import person_in
from services.command.seen_people import WAITING_MAX, SeenPeople
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app as create_query
from services.query.settings import Settings as QuerySettings
from services.sealer.sealer import seal
from shared.audit.merkle import Tree
from shared.audit.notes import Signer
from shared.errors import UnknownId
from shared.identity.auth_file import read_auth_file
from shared.identity.authenticator import Authenticator
from shared.identity.credentials import Bearer
from shared.identity.errors import PersonNeeded
from shared.identity.people import forget_person, note_people
from shared.identity.principals import person
from shared.identity.roles import Limit
from shared.identity.verifying import Verified
from shared.tasks import end_tasks
from tests.support.backends import as_role
from tests.support.columns import places_of
from tests.support.signed_in import ADMIN, auth_file, signed_in, with_token

MONTH = {"startdate": "2086-01-01", "enddate": "2086-01-31"}
SIGNER = Signer("hourbook", Ed25519PrivateKey.from_private_bytes(bytes(32)))
NAME, EMAIL = "Ada Zyxwvut", "zyxwvut@example.org"
Headers = dict[str, str]


Noticing = AsyncIterator[tuple[Authenticator, "Issuer"]]


class Issuer:
    """Verifies any text but `wrong`: it is the subject. What it says of people may be changed at any time."""

    def __init__(self) -> None:
        self.groups: tuple[str, ...] = ("team",)
        self.name: str | None = NAME

    async def verify(self, credential: str) -> Verified:
        principal = person("egi", credential, self.groups, "oidc")
        return Verified(principal, time.time() + 60, self.name, f"{credential}@example.org")

    async def close(self) -> None:
        pass


@contextlib.asynccontextmanager
async def noticing(
    database_url: str, directory: Path, seen_url: str = ""
) -> AsyncIterator[tuple[Authenticator, Issuer]]:
    """An authenticator that notes people, as the command service has it; `seen_url` is where it writes them."""
    people, issuer = SeenPeople(seen_url or as_role(database_url, "command"), interval_s=0.01), Issuer()
    file = read_auth_file(auth_file(directory))
    authenticator = Authenticator(file, as_role(database_url, "command"), bearer=issuer, noticed=people.note)
    async with authenticator.opened():
        writing = asyncio.create_task(people.run(authenticator))
        try:
            await until(lambda: _true(authenticator.version is not None))
            yield authenticator, issuer
            assert not writing.done()
        finally:
            await end_tasks(writing)


async def _true(value: bool) -> bool:
    return value


async def until(condition: Callable[[], Awaitable[bool]], bound_s: float = 10.0) -> None:
    async with asyncio.timeout(bound_s):
        while not await condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_who_proves_who_they_are_is_in_the_directory_a_moment_later(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    async def row() -> Any:
        return await database.fetchrow("SELECT name, email, groups FROM person WHERE id = 'egi:ada'")

    async with noticing(database_url, tmp_path) as (authenticator, issuer):
        await authenticator.verified(Bearer("ada"))
        await until(lambda: found(row, (NAME, "ada@example.org", ["group:egi:team"])))
        issuer.groups, issuer.name = ("other",), None
        authenticator._issued.clear()
        await authenticator.verified(Bearer("ada"))
        await until(lambda: found(row, (NAME, "ada@example.org", ["group:egi:other"])))


async def found(row: Callable[[], Awaitable[Any]], expected: tuple[Any, ...]) -> bool:
    record = await row()
    return record is not None and tuple(record) == expected


async def test_a_person_who_has_not_changed_is_not_written_for_each_token(database: Any) -> None:
    ada = Verified(person("egi", "ada", ("team",), "oidc"), 0, NAME, EMAIL)
    for expected in (1, 1):
        async with database.transaction():
            await note_people(database, [ada, ada])
        written = await database.fetchval("SELECT count(DISTINCT xmin::text) FROM person")
        assert written == expected
    first = await database.fetchval("SELECT xmin::text FROM person")
    async with database.transaction():
        await note_people(database, [ada])
    assert await database.fetchval("SELECT xmin::text FROM person") == first


async def test_requests_go_on_while_the_directory_cannot_be_written(database_url: str, tmp_path: Path) -> None:
    async with noticing(database_url, tmp_path, "postgresql://127.0.0.1:1/none") as (authenticator, _):
        for number in range(20):
            assert (await authenticator.verified(Bearer(f"p{number}"))).principal.id == f"egi:p{number}"
            await asyncio.sleep(0.01)


def test_an_application_credential_is_no_person() -> None:
    """It acts as its user, for whom it does not have what the user has: so it changes nothing of the user."""
    user = person("ours", "u1", ("p1",), "keystone")
    program = msgspec.structs.replace(user, members=user.members - {user.id})
    people = SeenPeople("postgresql://127.0.0.1:1/none")
    people.note(Verified(program, 0, "the user"))
    assert people._waiting == {}
    assert person_in(user) == "ours:u1"
    with pytest.raises(PersonNeeded):
        person_in(program)


def test_no_more_people_wait_than_there_is_room_for() -> None:
    people = SeenPeople("postgresql://127.0.0.1:1/none")
    for number in range(WAITING_MAX + 10):
        people.note(Verified(person("egi", str(number), (), "oidc"), 0))
    assert len(people._waiting) == WAITING_MAX


async def test_somebody_who_is_forgotten_while_a_note_waits_stays_forgotten(database: Any) -> None:
    ada = Verified(person("egi", "ada", (), "oidc"), 0, NAME, EMAIL)
    async with database.transaction():
        await note_people(database, [ada])
    before = await database.fetchval("SELECT version FROM identity_head")
    async with database.transaction():
        await forget_person(database, "egi:ada")
    async with database.transaction():
        await note_people(database, [ada], since=before)
    assert await database.fetchval("SELECT count(*) FROM person") == 0
    with pytest.raises(UnknownId):
        await forget_person(database, "egi:ada")


# --- who sees them ---


async def test_names_are_for_those_who_see_names_somewhere_and_addresses_for_admins_of_the_ledger(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    async with AsyncTestClient(query_app(database_url, auth_file(tmp_path))) as query:
        root = await signed_in(database_url, ADMIN, name="Root")
        await signed_in(database_url, "egi:ada", name=NAME)
        await database.execute("UPDATE person SET email = $1 WHERE id = 'egi:ada'", EMAIL)
        reader, viewer = await signed_in(database_url, "egi:rea"), await signed_in(database_url, "egi:vi")
        team = await signed_in(database_url, "egi:tea", ["group:egi:team"])
        await bind(
            database, ("gaia", "egi:rea", "reader"), ("gaia", "egi:vi", "viewer"), ("x", "group:egi:team", "member")
        )
        told = {"id": "egi:ada", "name": NAME}

        async def answer(who: Headers, path: str) -> Any:
            got = await query.get(path, headers=who)
            return got.json() if got.status_code == 200 else (got.status_code, got.json()["code"])

        several = "/people?ids=egi:ada,egi:nobody,token:x"
        assert await answer(root, several) == {"people": [told | {"email": EMAIL}]}
        for who in (reader, team):
            assert await answer(who, several) == {"people": [told]}
            assert await answer(who, "/people/egi:ada") == told
        for path in (several, "/people/egi:ada", "/people/egi:nobody"):
            assert await answer(viewer, path) == (403, "forbidden")
        assert await answer(reader, "/people/egi:nobody") == (404, "unknown_id")
        wide = await with_token(database_url, Limit("reader", "gaia.spark"), maker="egi:rea")
        beside = await with_token(database_url, Limit("reader", "other"), maker="egi:rea")
        below = await with_token(database_url, Limit("viewer"), maker="egi:rea")
        assert await answer(wide, several) == {"people": [told]}
        assert await answer(beside, several) == (403, "forbidden")
        assert await answer(below, several) == (403, "forbidden")
        assert await answer(reader, "/people") == (400, "invalid_field")
        assert await answer(reader, "/people?ids=" + ",".join(f"p{n}" for n in range(201))) == (400, "invalid_field")


def command_app(database_url: str, auth: str) -> Litestar:
    return create_command(CommandSettings(database_url=as_role(database_url, "command"), auth_file=auth))


def query_app(database_url: str, auth: str) -> Litestar:
    return create_query(QuerySettings(database_url=as_role(database_url, "query"), auth_file=auth))


async def bind(database: Any, *roles: tuple[str, str, str]) -> None:
    """Writes bindings into the live read model, as the projector does. A role on a pool is found by its project."""
    generation = await database.fetchval("SELECT generation FROM generation WHERE live")
    for pool, member, role in roles:
        await database.execute(
            "INSERT INTO role (generation, pool, member, role, granted, actor) VALUES ($1, $2, $3, $4, 1, 'egi:root')",
            generation,
            pool,
            member,
            role,
        )
        await database.execute(
            "INSERT INTO role_head (generation, project, changed) VALUES ($1, $2, 1) ON CONFLICT DO NOTHING",
            generation,
            pool,
        )
    await database.execute("UPDATE generation SET roles_changed = 1 WHERE live")


# --- forgotten ---


async def test_nothing_of_a_forgotten_person_is_left_and_the_history_still_verifies(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    async with (
        AsyncTestClient(command_app(database_url, auth_file(tmp_path))) as command,
        AsyncTestClient(query_app(database_url, auth_file(tmp_path))) as query,
    ):
        root = await signed_in(database_url, ADMIN)
        verified = Verified(person("egi", "ada", ("team",), "oidc"), 0, NAME, EMAIL)
        async with database.transaction():
            await note_people(database, [verified])
        ada = await signed_in(database_url, "egi:ada", ["group:egi:team"])
        for who, path, body in (
            (root, "/projects/create", {"id": "gaia", "name": "Gaia"}),
            (root, "/resources/create", {"project": "gaia", "cores": 9, **MONTH}),
            (root, "/roles/grant", {"pool": "gaia", "role": "manager", "member": "egi:ada"}),
            (ada, "/bookings/create", {"project": "gaia", "account": "egi:ada", "cores": 1, **MONTH}),
        ):
            assert (await command.post(path, json=body, headers=who)).status_code == 201, path
        token = {"name": f"{NAME}'s laptop", "limits": [{"role": "manager", "pool": "gaia"}]}
        made = (await command.post("/tokens/create", json=token, headers=ada | {"Idempotency-Key": "t"})).json()
        feed = (await command.post("/feeds/create", json={"path": "/projects/gaia.ics"}, headers=ada)).json()
        program = {"Authorization": f"Bearer {made['secret']}"}
        address = "/projects/gaia.ics" + feed["address"].partition(".ics")[2]

        async def statuses() -> list[int]:
            asked = [query.get("/tokens", headers=who) for who in (ada, program)]
            return [answer.status_code for answer in await asyncio.gather(*asked, query.get(address))]

        assert await statuses() in ([200, 200, 200], [200, 200, 404])  # 404: the read models do not show gaia yet
        tree = Tree()
        await seal(database, tree, SIGNER)
        assert {place.partition(".")[0] for place in await places_of(database, "yxwvut")} >= {"person", "token"}
        root_before = verify(await exported(database_url, tmp_path / "before"))

        async with database.transaction():
            ended = await forget_person(database, "egi:ada")
        assert (ended.sessions, ended.tokens, ended.feeds) == (1, 1, 1)
        assert await places_of(database, "yxwvut") == set()
        async with asyncio.timeout(5):
            while await statuses() != [401, 401, 401]:
                await asyncio.sleep(0.05)
        assert (await command.post("/projects/create", json={}, headers=program)).status_code == 401
    assert verify(await exported(database_url, tmp_path / "now")) == root_before
    assert "egi:ada" in (tmp_path / "now" / "events.ndjson").read_text()


async def test_whoever_is_forgotten_makes_no_credential_by_a_session_that_a_process_remembers(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    file = auth_file(tmp_path, ledger={"reader": ["egi:ada"]})
    async with AsyncTestClient(command_app(database_url, file)) as command:
        ada, body = await signed_in(database_url, "egi:ada"), {"name": "sync", "limits": [{"role": "reader"}]}
        await until(lambda: remembers(command))
        assert (await command.post("/tokens/create", json=body, headers=ada)).status_code == 201
        assert (await command.post("/feeds/create", json={"path": "/accounts/a.ics"}, headers=ada)).status_code == 201
        refused = await command.post("/projects/create", json={"id": "gaia", "name": "Gaia"}, headers=ada)
        assert refused.status_code == 403, "now the process remembers the session"
        async with database.transaction():
            await forget_person(database, "egi:ada")
        for path, asked in (("/tokens/create", body), ("/feeds/create", {"path": "/accounts/a.ics"})):
            answer = await command.post(path, json=asked, headers=ada)
            assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credential")
        assert await database.fetchval("SELECT count(*) FROM token WHERE revoked_at IS NULL") == 0
        assert await database.fetchval("SELECT count(*) FROM person") == 0


async def remembers(command: AsyncTestClient[Any]) -> bool:
    """Whether the process has looked at the revoked credentials, so that it uses what it remembers."""
    return command.app.state.parts.authenticator.version is not None


async def exported(database_url: str, directory: Path) -> Path:
    await asyncio.to_thread(export, as_role(database_url, "query"), directory)
    return directory


def verify(directory: Path) -> str:
    """Runs the verifier of an export. Returns what it says."""
    command = [sys.executable, "-I", "-S", str(directory / "verify.py"), "--key", SIGNER.verifier.text()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
