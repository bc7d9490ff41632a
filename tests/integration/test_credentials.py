"""Tokens and feed addresses: made by people, shown once, revoked in every process; and what they may never do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from services.command.app import create_app as create_command
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app as create_query
from services.query.settings import Settings as QuerySettings
from shared.identity.authenticator import CONNECTIONS_MAX
from shared.identity.configured import authenticator_from
from shared.identity.roles import Limit
from shared.identity.secrets import is_secret
from tests.support.backends import as_role, connected
from tests.support.listening import listening
from tests.support.signed_in import ADMIN, auth_file, signed_in, with_token

Headers = dict[str, str]
Client = AsyncTestClient[Any]
REVOKED_S = 5.0  # within so many seconds no process takes a credential that was revoked
MONTH = {"startdate": "2086-01-01", "enddate": "2086-01-31"}
NOBODY = "01890000-0000-7000-8000-000000000000"


class Ledger(NamedTuple):
    """The services where principals sign in, and the project gaia with the cluster spark, of whose admin `root`."""

    command: Client
    query: Client
    url: str
    root: Headers

    async def person(self, name: str, **roles: str) -> Headers:
        """The headers of a person with these roles on the projects."""
        for pool, role in roles.items():
            body = {"pool": pool, "role": role, "member": name}
            answer = await self.command.post("/roles/grant", json=body, headers=self.root)
            assert answer.status_code == 201, answer.text
        return await signed_in(self.url, name)

    async def token(self, who: Headers, *limits: dict[str, str], **fields: Any) -> dict[str, Any]:
        """What the answer says of a new token."""
        body = {"name": "sync", "limits": list(limits), **fields}
        answer = await self.command.post("/tokens/create", json=body, headers=who)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def feed(self, who: Headers, path: str) -> tuple[str, str]:
        """The id and the address of a new feed address; the address begins with its path."""
        answer = await self.command.post("/feeds/create", json={"path": path}, headers=who)
        assert answer.status_code == 201, answer.text
        parts = urlsplit(answer.json()["address"])
        return answer.json()["id"], f"{parts.path}?{parts.query}"

    async def code(self, who: Headers, path: str, body: Any = None) -> tuple[int, str]:
        answer = await self.command.post(path, json=body, headers=who)
        return answer.status_code, answer.json().get("code", "")


@pytest.fixture
async def ledger(database_url: str, tmp_path: Path) -> AsyncIterator[Ledger]:
    file = auth_file_of(tmp_path)
    async with (
        AsyncTestClient(command_app(database_url, file)) as command,
        AsyncTestClient(query_app(database_url, file)) as query,
    ):
        root = await signed_in(database_url, ADMIN)
        for path, body in (
            ("/projects/create", {"id": "gaia", "name": "Gaia"}),
            ("/resources/create", {"project": "gaia", "cores": 100, **MONTH}),
            ("/clusters/create", {"parent": "gaia", "name": "spark", "cores": 10, **MONTH}),
        ):
            answer = await command.post(path, json=body, headers=root)
            assert answer.status_code == 201, answer.text
        yield Ledger(command, query, database_url, root)


def command_app(database_url: str, auth: str) -> Litestar:
    return create_command(CommandSettings(database_url=as_role(database_url, "command"), auth_file=auth))


def query_app(database_url: str, auth: str) -> Litestar:
    return create_query(QuerySettings(database_url=as_role(database_url, "query"), auth_file=auth))


def auth_file_of(directory: Path) -> str:
    """The auth file, in which rea and rob may read everything."""
    return auth_file(directory, ledger={"admin": [ADMIN], "reader": ["egi:rea", "egi:rob"]})


def bearer(secret: str) -> Headers:
    return {"Authorization": f"Bearer {secret}"}


def template(name: str) -> dict[str, Any]:
    return {"project": "gaia", "name": name, "cores": 1}


async def within(bound_s: float, condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(bound_s):
        while not await condition():
            await asyncio.sleep(0.05)


# --- tokens ---


async def test_a_token_is_shown_once_and_works_within_its_limits(ledger: Ledger) -> None:
    ada = await ledger.person("egi:ada", gaia="manager")
    made = await ledger.token(ada, {"role": "manager", "pool": "gaia"})
    assert is_secret(made["secret"], "hbk")
    assert datetime.fromisoformat(made["expires"]) - datetime.now(UTC) > timedelta(days=89)
    answer = await ledger.command.post("/templates/create", json=template("a"), headers=bearer(made["secret"]))
    event = answer.json()["decided"][0]
    assert (event["actor"], event["auth"]) == (f"token:{made['id']}", "token")
    listed = (await ledger.query.get("/tokens", headers=ada)).json()["tokens"]
    (one,) = listed
    assert (one["id"], one["name"], one["maker"], one["revoked"]) == (made["id"], "sync", "egi:ada", None)
    assert one["limits"] == [{"role": "manager", "pool": "gaia"}]
    assert set(one) == {"id", "name", "maker", "limits", "created", "expires", "revoked"}


async def test_nobody_makes_a_token_that_may_more_than_they_may(ledger: Ledger) -> None:
    ada = await ledger.person("egi:ada", gaia="manager")
    for limit, expected in (
        ({"role": "admin", "pool": "gaia"}, (403, "forbidden")),
        ({"role": "auditor", "pool": "gaia"}, (403, "forbidden")),
        ({"role": "viewer"}, (403, "forbidden")),
        ({"role": "viewer", "pool": "nope"}, (404, "unknown_id")),
        ({"role": "manager", "pool": "gaia.spark"}, (201, "")),
        ({"role": "member", "pool": "gaia"}, (201, "")),
    ):
        asked = {"name": "sync", "limits": [{"role": "viewer", "pool": "gaia"}, limit]}
        assert await ledger.code(ada, "/tokens/create", asked) == expected, limit
    eve = await ledger.person("egi:eve")
    hidden = {"name": "sync", "limits": [{"role": "viewer", "pool": "gaia"}]}
    absent = {"name": "sync", "limits": [{"role": "viewer", "pool": "nope"}]}
    answers = [await ledger.command.post("/tokens/create", json=body, headers=eve) for body in (hidden, absent)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].text.replace("gaia", "nope") == answers[1].text
    assert await ledger.code(ledger.root, "/tokens/create", {"name": "all", "limits": [{"role": "admin"}]}) == (201, "")


async def test_a_token_makes_no_credentials_and_ends_none_but_itself(ledger: Ledger) -> None:
    ada = await ledger.person("egi:ada", gaia="admin")
    first = await ledger.token(ada, {"role": "admin", "pool": "gaia"})
    other = await ledger.token(ada, {"role": "admin", "pool": "gaia"})
    feed, _ = await ledger.feed(ada, "/projects/gaia.ics")
    program = bearer(first["secret"])
    asked = {"name": "more", "limits": [{"role": "viewer", "pool": "gaia"}]}
    assert await ledger.code(program, "/tokens/create", asked) == (403, "person_needed")
    assert await ledger.code(program, "/feeds/create", {"path": "/projects/gaia.ics"}) == (403, "person_needed")
    assert await ledger.code(program, f"/feeds/{feed}/revoke") == (403, "person_needed")
    assert await ledger.code(program, f"/tokens/{other['id']}/revoke") == (404, "unknown_id")
    listed = (await ledger.query.get("/tokens", headers=program)).json()["tokens"]
    assert [one["id"] for one in listed] == [first["id"]]
    assert (await ledger.query.get("/feeds", headers=program)).json()["feeds"] == []
    assert await ledger.code(program, f"/tokens/{first['id']}/revoke") == (200, "")
    assert await ledger.code(program, "/templates/create", template("a")) == (401, "invalid_credential")
    operator = await with_token(ledger.url, Limit("admin"))
    assert await ledger.code(operator, "/tokens/create", asked) == (403, "person_needed")


async def test_one_sees_and_revokes_ones_own_tokens_and_an_admin_of_the_ledger_all(ledger: Ledger) -> None:
    ada, eve = await ledger.person("egi:ada", gaia="manager"), await ledger.person("egi:eve", gaia="manager")
    made = await ledger.token(ada, {"role": "member", "pool": "gaia"})
    assert (await ledger.query.get("/tokens", headers=eve)).json() == {"tokens": [], "next": None}
    assert await ledger.code(eve, f"/tokens/{made['id']}/revoke") == (404, "unknown_id")
    hidden = await ledger.command.post(f"/tokens/{made['id']}/revoke", headers=eve)
    absent = await ledger.command.post(f"/tokens/{NOBODY}/revoke", headers=eve)
    assert hidden.text.replace(made["id"], NOBODY) == absent.text
    await with_token(ledger.url, Limit("admin"))
    listed = (await ledger.query.get("/tokens", headers=ledger.root)).json()["tokens"]
    assert {one["maker"] for one in listed} == {"egi:ada", None}
    assert await ledger.code(ledger.root, f"/tokens/{made['id']}/revoke") == (200, "")
    assert await ledger.code(ada, f"/tokens/{made['id']}/revoke") == (200, ""), "it is so already"
    (one,) = (await ledger.query.get("/tokens", headers=ada)).json()["tokens"]
    assert one["revoked"] is not None


async def test_a_revoked_token_is_refused_by_every_process_within_five_seconds(ledger: Ledger, tmp_path: Path) -> None:
    ada = await ledger.person("egi:ada", gaia="manager")
    made = await ledger.token(ada, {"role": "manager", "pool": "gaia"})
    program = bearer(made["secret"])
    async with AsyncTestClient(command_app(ledger.url, auth_file_of(tmp_path))) as other:

        async def answers() -> set[int]:
            asked = [
                ledger.command.post("/templates/create", json=template("a"), headers=program),
                other.post("/templates/create", json=template("a"), headers=program),
                ledger.query.get("/tokens", headers=program),
            ]
            return {answer.status_code for answer in await asyncio.gather(*asked)}

        async def all_refused() -> bool:
            return await answers() == {401}

        async def looked() -> bool:  # a process that has looked at the revoked credentials trusts what it knows
            return 401 not in await answers()

        await within(REVOKED_S, looked)
        assert (await ledger.command.post(f"/tokens/{made['id']}/revoke", headers=ada)).status_code == 200
        assert await ledger.code(program, "/templates/create", template("b")) == (401, "invalid_credential")
        await within(REVOKED_S, all_refused)


async def test_a_repeat_with_the_same_key_makes_one_token_and_shows_it_to_nobody_again(ledger: Ledger) -> None:
    ada = await ledger.person("egi:ada", gaia="manager")
    body = {"name": "Ada's laptop", "limits": [{"role": "viewer", "pool": "gaia"}]}
    keyed = {**ada, "Idempotency-Key": "one"}
    first = await ledger.command.post("/tokens/create", json=body, headers=keyed)
    again = await ledger.command.post("/tokens/create", json=body, headers=keyed)
    assert (first.status_code, again.status_code, again.headers["Idempotent-Replayed"]) == (201, 200, "true")
    assert again.json() == first.json() | {"secret": None}
    feeds = [
        await ledger.command.post(
            "/feeds/create", json={"path": "/projects/gaia.ics"}, headers=keyed | {"Idempotency-Key": "f"}
        )
        for _ in range(2)
    ]
    assert feeds[1].json() == feeds[0].json() | {"address": None}
    kept = await fetch(ledger.url, "SELECT convert_from(body, 'UTF8') FROM remembered_answer")
    assert len(kept) == 2
    assert not [text for (text,) in kept if "hbk_" in text or "hbf_" in text or "laptop" in text]
    assert len(await fetch(ledger.url, "SELECT FROM token")) == 1


async def test_a_denial_is_not_kept_as_the_answer_to_its_key(ledger: Ledger) -> None:
    ada = await ledger.person("egi:ada", gaia="reader")
    keyed = {**ada, "Idempotency-Key": "one"}
    asked = {"name": "sync", "limits": [{"role": "manager", "pool": "gaia"}]}
    assert await ledger.code(keyed, "/tokens/create", asked) == (403, "forbidden")
    await ledger.person("egi:ada", gaia="manager")
    assert await ledger.code(keyed, "/tokens/create", asked) == (201, "")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"limits": []}, "limits"),
        ({"limits": [{"role": "king"}]}, "limits"),
        ({"limits": [{"role": "viewer", "pool": "No Pool"}]}, "limits"),
        ({"limits": [{"role": "viewer", "pool": f"p{number}"} for number in range(51)]}, "limits"),
        ({"days": 0}, "days"),
        ({"days": 367}, "days"),
        ({"days": 1, "expires": "2086-01-01T00:00:00Z"}, "days"),
        ({"expires": "2086-01-01T00:00:00"}, "expires"),
        ({"expires": "2086-01-01T00:00:00Z"}, "expires"),
        ({"expires": "2020-01-01T00:00:00Z"}, "expires"),
        ({"secret": "hbk_mine"}, "secret"),
    ],
)
async def test_what_is_wrong_with_a_token_is_named(ledger: Ledger, fields: dict[str, Any], field: str) -> None:
    body = {"name": "sync", "limits": [{"role": "viewer", "pool": "gaia"}], **fields}
    answer = await ledger.command.post("/tokens/create", json=body, headers=ledger.root)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field), answer.text
    assert "hbk_mine" not in answer.text


async def test_a_token_expires_when_it_was_said(ledger: Ledger) -> None:
    until = (datetime.now(UTC) + timedelta(days=366) - timedelta(minutes=1)).isoformat()
    made = await ledger.token(ledger.root, {"role": "viewer", "pool": "gaia"}, expires=until)
    assert datetime.fromisoformat(made["expires"]) == datetime.fromisoformat(until)
    await execute(ledger.url, "UPDATE token SET expires_at = now()")
    answer = await ledger.command.post("/templates/create", json=template("a"), headers=bearer(made["secret"]))
    assert (answer.status_code, answer.json()["detail"]) == (401, "the token has expired")


async def test_a_token_whose_limits_cannot_be_read_is_refused_as_a_credential(ledger: Ledger) -> None:
    made = await ledger.token(ledger.root, {"role": "viewer", "pool": "gaia"})
    await execute(ledger.url, """UPDATE token SET limits = '[{"role": "emperor", "pool": 3}]'""")
    assert await ledger.code(bearer(made["secret"]), "/templates/create", template("a")) == (401, "invalid_credential")


async def test_a_maker_has_at_most_a_hundred_valid_tokens_however_many_ask_at_once(ledger: Ledger) -> None:
    ada = await ledger.person("egi:ada", gaia="reader")
    limit = {"role": "viewer", "pool": "gaia"}
    await execute(
        ledger.url,
        "INSERT INTO token (id, hash, name, maker, limits, expires_at) SELECT gen_random_uuid(),"
        " sha256(n::text::bytea), 'old', 'egi:ada', '[]', now() + interval '1 day' FROM generate_series(1, 98) AS n",
    )
    asked = [ledger.code(ada, "/tokens/create", {"name": "sync", "limits": [limit]}) for _ in range(6)]
    assert sorted(await asyncio.gather(*asked)) == [(201, "")] * 2 + [(409, "too_many_credentials")] * 4
    await execute(ledger.url, "UPDATE token SET revoked_at = now() WHERE name = 'old'")
    for _ in range(60):
        (one,) = await fetch(ledger.url, "SELECT id FROM token WHERE revoked_at IS NULL AND name = 'sync' LIMIT 1")
        assert await ledger.code(ada, f"/tokens/{one[0]}/revoke") == (200, "")
        await ledger.token(ada, limit)
    (count,) = (await fetch(ledger.url, "SELECT count(*) FROM token"))[0]
    assert count <= 100 + 3, "those that ended long ago are gone"


# --- feed addresses ---


async def test_the_key_of_a_feed_opens_its_path_and_nothing_else(ledger: Ledger, tmp_path: Path) -> None:
    """On a real server: there an encoded slash of the path stays inside its segment."""
    rea = await ledger.person("egi:rea")
    _, address = await ledger.feed(rea, "/accounts/team%2Fada%20b.ics")
    path, _, query = address.partition("?")
    assert path == "/accounts/team%2Fada%20b.ics"
    key = query.removeprefix("key=")
    assert is_secret(key, "hbf")
    async with (
        listening(query_app(ledger.url, auth_file_of(tmp_path))) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        opened = await client.get(f"{address}&range=2086-01-01,2086-01-31&tz=Europe/Madrid")
        assert (opened.status_code, opened.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
        assert key not in opened.text + str(opened.headers)
        for other in (
            "/accounts/ada.ics",
            "/projects/gaia.ics",
            "/projects",
            "/tokens",
            path.replace(".ics", "/usage"),
        ):
            refused = await client.get(f"{other}?{query}")
            assert (refused.status_code, refused.json()["code"]) == (401, "invalid_credential"), other
            assert key not in refused.text
        for wrong in ("xkey=hbf_a", f"key=hbf_{'0' * 49}"):
            assert (await client.get(f"{path}?{wrong}")).status_code == 401
        for more in ("&tamplate=1", "&key=other"):
            unknown = await client.get(address + more)
            assert (unknown.status_code, key in unknown.text) == (400, False)
    for command in ("/feeds/create", path):
        assert (await ledger.command.post(f"{command}?{query}", json={})).status_code == 401


async def test_a_feed_address_that_is_made_again_ends_the_old_one(ledger: Ledger) -> None:
    rea, rob = await ledger.person("egi:rea"), await ledger.person("egi:rob")
    _, old = await ledger.feed(rea, "/accounts/ada.ics")
    _, hers = await ledger.feed(rob, "/accounts/ada.ics")
    await within(REVOKED_S, lambda: status_is(ledger, old, 200))
    id_, new = await ledger.feed(rea, "/accounts/ada.ics")
    await within(REVOKED_S, lambda: status_is(ledger, old, 401))
    assert (await ledger.query.get(new)).status_code == 200
    assert (await ledger.query.get(hers)).status_code == 200
    (one,) = (await ledger.query.get("/feeds", headers=rea)).json()["feeds"]
    assert one == {"id": id_, "path": "/accounts/ada.ics", "maker": "egi:rea", "created": one["created"]}
    assert len((await ledger.query.get("/feeds", headers=ledger.root)).json()["feeds"]) == 2
    assert await ledger.code(rob, f"/feeds/{id_}/revoke") == (404, "unknown_id")
    assert await ledger.code(rea, f"/feeds/{id_}/revoke") == (200, "")
    await within(REVOKED_S, lambda: status_is(ledger, new, 401))


async def status_is(ledger: Ledger, address: str, status: int) -> bool:
    return (await ledger.query.get(address)).status_code == status


async def test_a_feed_address_needs_the_role_reader_on_its_pool(ledger: Ledger) -> None:
    viewer = await ledger.person("egi:ada", gaia="viewer")
    stranger = await ledger.person("egi:eve")
    for path in ("/projects/gaia.ics", "/clusters/gaia.spark.ics"):
        assert await ledger.code(viewer, "/feeds/create", {"path": path}) == (403, "forbidden")
        assert await ledger.code(stranger, "/feeds/create", {"path": path}) == (404, "unknown_id")
    await ledger.person("egi:ada", **{"gaia.spark": "reader"})
    assert await ledger.code(viewer, "/feeds/create", {"path": "/clusters/gaia.spark.ics"}) == (201, "")
    assert await ledger.code(viewer, "/feeds/create", {"path": "/projects/gaia.ics"}) == (403, "forbidden")


@pytest.mark.parametrize(
    "path",
    [
        "/projects/gaia",
        "projects/gaia.ics",
        "/projects/gaia.spark.ics",
        "/clusters/gaia.ics",
        "/projects/gaia.ics?tz=UTC",
        "/events/gaia.ics",
        "/accounts/.ics",
        "/accounts/a%00b.ics",
        "https://elsewhere.example/projects/gaia.ics",
        "/projects/../gaia.ics",
    ],
)
async def test_only_the_path_of_a_feed_gets_an_address(ledger: Ledger, path: str) -> None:
    answer = await ledger.command.post("/feeds/create", json={"path": path}, headers=ledger.root)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "path")


# --- where nobody signs in ---


async def test_where_nobody_signs_in_there_are_no_credentials_and_the_answer_says_so(database_url: str) -> None:
    async with (
        AsyncTestClient(command_app(database_url, "")) as command,
        AsyncTestClient(query_app(database_url, "")) as query,
    ):
        token = {"name": "sync", "limits": [{"role": "viewer"}]}
        answers = [
            await command.post("/tokens/create", json=token),
            await command.post(f"/tokens/{NOBODY}/revoke"),
            await command.post("/feeds/create", json={"path": "/projects/gaia.ics"}),
            await command.post(f"/feeds/{NOBODY}/revoke"),
            *[await query.get(path) for path in ("/tokens", "/feeds", "/people?ids=egi:ada", "/people/egi:ada")],
        ]
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (409, "sign_in_not_set_up"), answer.text
        assert (await query.get("/accounts/ada.ics?key=hbf_x")).status_code == 200


async def fetch(url: str, statement: str, *arguments: Any) -> list[Any]:
    async with connected(url) as connection:
        return list(await connection.fetch(statement, *arguments))


async def execute(url: str, statement: str, *arguments: Any) -> None:
    await fetch(url, statement, *arguments)


async def test_a_flood_of_wrong_tokens_does_not_delay_the_look_for_revoked_ones(
    database_url: str, tmp_path: Path
) -> None:
    """Otherwise nothing that is remembered would be trusted, and the flood would keep everybody out."""
    authenticator = authenticator_from(auth_file_of(tmp_path), as_role(database_url, "query"))
    assert authenticator is not None
    async with authenticator.opened(), contextlib.AsyncExitStack() as flood:
        for _ in range(CONNECTIONS_MAX):  # all those that verify credentials
            await flood.enter_async_context(authenticator.credentials._pool.acquire())
        owner = await asyncpg.connect(database_url)
        version = await owner.fetchval("UPDATE identity_head SET version = version + 1 RETURNING version")
        await owner.close()
        async with asyncio.timeout(REVOKED_S):
            while authenticator.version != version:
                await asyncio.sleep(0.05)
