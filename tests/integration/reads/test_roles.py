"""/me, /roles and /accounts/members: who may do what, and who is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.command.domain import (
    AddAccountMember,
    Command,
    CreateAccount,
    CreateCluster,
    GrantRole,
    RemoveAccountMember,
    RevokeRole,
)
from services.projector.as_of.historian import load_writer
from services.query.settings import Settings
from shared.events import Event, Limits, Role
from shared.hours import Period
from shared.identity.roles import Limit
from tests.support.backends import as_role, connected
from tests.support.project import T0, Project, cores
from tests.support.querying import append_and_show, serving
from tests.support.seeded import Client
from tests.support.signed_in import ADMIN, auth_file, signed_in, with_token

Headers = dict[str, str]
READ = ["see", "names"]
EVERYTHING = [*READ, "book", "manage", "administer", "audit"]
GROUP = "group:egi:team"


class World:
    """The project gaia with the cluster gaia.spark, and the query service, where principals sign in."""

    def __init__(self, url: str, client: Client) -> None:
        self.url, self.client, self.project = url, client, Project()
        self._shown = 0
        self.project.grant(0, 500, 100)
        self.project.cluster("gaia.spark", 0, 100, 10)

    async def do(self, *commands: Command) -> None:
        for command in commands:
            self.project.do(command)
        await self.show()

    async def show(self) -> None:
        """Stores the new events, and writes them to the read models of now and of the past."""
        new: list[Event] = self.project.history[self._shown :]
        self._shown = len(self.project.history)
        async with connected(self.url) as connection:
            await append_and_show(connection, new)
            await (await load_writer(connection)).advance(1000)

    async def ask(self, who: Headers, path: str, **query: Any) -> tuple[int, Any]:
        answer = await self.client.get(path, params=query, headers=who)
        return answer.status_code, answer.json()

    async def roles(self, who: Headers, **query: Any) -> list[tuple[str | None, str | None, str, bool]]:
        status, body = await self.ask(who, "/roles", **query)
        assert status == 200, body
        return [(row["pool"], row["member"], row["role"], row["inherited"]) for row in body["roles"]]


def give(pool: str, role: Role, member: str) -> GrantRole:
    return GrantRole(pool=pool, role=role, member=member)


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    ledger = {"admin": [ADMIN], "auditor": ["group:egi:audit"]}
    settings = Settings(
        database_url=as_role(database_url, "query"), auth_file=auth_file(tmp_path, ledger=ledger), visible_timeout_s=1.0
    )
    async with serving(settings) as client:
        yield World(database_url, client)


@pytest.fixture
async def granted(world: World) -> World:
    await world.do(
        give("gaia", "admin", "egi:boss"),
        give("gaia", "reader", GROUP),
        give("gaia.spark", "member", "egi:ada"),
        give("gaia.spark", "admin", "egi:sparky"),
        CreateAccount(account="team", name="Team", limits=Limits()),
        CreateAccount(account="others", name="Others", limits=Limits()),
        AddAccountMember(account="team", member="egi:ada"),
        AddAccountMember(account="team", member=GROUP),
        AddAccountMember(account="others", member="egi:eve"),
    )
    return world


async def test_where_nobody_signs_in_everybody_may_do_everything(client: Client) -> None:
    answer = await client.get("/me")
    body = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-store")
    assert (body["signed_in"], body["id"], body["ledger"]["rights"]) == (False, None, EVERYTHING)
    assert (await client.get("/roles")).json()["roles"] == []


async def test_me_says_who_i_am_and_what_i_may_do_where(granted: World) -> None:
    ada = await signed_in(granted.url, "egi:ada", [GROUP], name="Ada")
    status, body = await granted.ask(ada, "/me")
    assert status == 200
    assert body == {
        "signed_in": True,
        "id": "egi:ada",
        "auth": "oidc",
        "name": "Ada",
        "email": None,
        "groups": [GROUP],
        "token": None,
        "ledger": {"roles": [], "rights": []},
        "pools": [
            {"pool": "gaia", "roles": [{"role": "reader", "from": "group", "member": GROUP}], "rights": READ},
            {
                "pool": "gaia.spark",
                "roles": [{"role": "member", "from": "direct", "member": "egi:ada"}],
                "rights": [*READ, "book"],
            },
        ],
        "accounts": [{"project": "gaia", "account": "team"}],
        "complete": True,
    }


async def test_me_names_the_roles_of_the_auth_file_and_of_everyone(database_url: str, tmp_path: Path) -> None:
    path = auth_file(tmp_path, everyone="viewer", ledger={"auditor": ["group:egi:audit"]})
    async with serving(Settings(database_url=as_role(database_url, "query"), auth_file=path)) as client:
        eve = await signed_in(database_url, "egi:eve", ["group:egi:audit"])
        ledger = (await client.get("/me", headers=eve)).json()["ledger"]
    assert ledger["roles"] == [
        {"role": "viewer", "from": "everyone", "member": None},
        {"role": "auditor", "from": "group", "member": "group:egi:audit"},
    ]
    assert ledger["rights"] == [*READ, "audit"]


async def test_a_stranger_is_told_to_sign_in(granted: World) -> None:
    for path in ("/me", "/roles", "/accounts/members?project=gaia"):
        status, body = await granted.ask({}, path)
        assert (status, body["code"]) == (401, "sign_in_required")


async def test_a_token_sees_its_limits_and_its_expiry_and_no_more_than_they_allow(granted: World) -> None:
    await signed_in(granted.url, "egi:ada", [GROUP], name="Ada")
    narrow = await with_token(granted.url, Limit("reader", "gaia.spark"), maker="egi:ada", lasts=timedelta(days=2))
    _, body = await granted.ask(narrow, "/me")
    assert body["id"].startswith("token:")
    assert (body["auth"], body["name"], body["ledger"]["rights"]) == ("token", None, [])
    assert [(row["pool"], row["rights"]) for row in body["pools"]] == [("gaia.spark", READ)]
    assert (body["token"]["name"], body["token"]["maker"]) == ("test", "egi:ada")
    assert body["token"]["limits"] == [{"role": "reader", "pool": "gaia.spark"}]
    assert body["token"]["expires"].endswith("Z")
    operator = await with_token(granted.url, Limit("manager", "gaia"))
    _, body = await granted.ask(operator, "/me")
    assert [(row["pool"], row["roles"], row["rights"]) for row in body["pools"]] == [
        ("gaia", [], [*READ, "book", "manage"])
    ]


async def test_an_account_of_a_project_of_which_i_see_nothing_is_not_named(granted: World) -> None:
    eve = await signed_in(granted.url, "egi:eve")
    assert (await granted.ask(eve, "/me"))[1]["accounts"] == []
    await granted.do(give("gaia.spark", "viewer", "egi:eve"))
    assert (await granted.ask(eve, "/me"))[1]["accounts"] == [{"project": "gaia", "account": "others"}]


async def test_a_revoked_role_is_gone_from_the_next_answer(granted: World) -> None:
    ada = await signed_in(granted.url, "egi:ada")
    assert [row["pool"] for row in (await granted.ask(ada, "/me"))[1]["pools"]] == ["gaia.spark"]
    await granted.do(
        RevokeRole(pool="gaia.spark", role="member", member="egi:ada"),
        RemoveAccountMember(account="team", member="egi:ada"),
    )
    body = (await granted.ask(ada, "/me"))[1]
    assert (body["pools"], body["accounts"]) == ([], [])
    assert (await granted.ask(ada, "/roles", pool="gaia.spark"))[0] == 404


async def test_who_administers_a_pool_sees_its_roles_but_those_around_it_only_as_admin_there(granted: World) -> None:
    inherited = [("gaia", "egi:boss", "admin", True), ("gaia", GROUP, "reader", True)]
    own = [("gaia.spark", "egi:ada", "member", False), ("gaia.spark", "egi:sparky", "admin", False)]
    boss, sparky = await signed_in(granted.url, "egi:boss"), await signed_in(granted.url, "egi:sparky")
    assert await granted.roles(boss, pool="gaia.spark") == inherited + own
    assert await granted.roles(sparky, pool="gaia.spark") == own
    assert await granted.roles(sparky, project="gaia") == own
    assert await granted.roles(sparky) == own
    assert await granted.roles(sparky, pool="gaia.spark", member=GROUP) == []
    of_group = await signed_in(granted.url, "egi:sparky", [GROUP])
    assert await granted.roles(of_group, pool="gaia.spark") == inherited[1:] + own
    everything = [(pool, member, role, False) for pool, member, role, _ in inherited + own]
    assert await granted.roles(boss, project="gaia") == await granted.roles(boss) == everything
    assert (await granted.ask(sparky, "/roles", pool="gaia"))[0] == 404


async def test_everybody_else_sees_only_their_own_roles(granted: World) -> None:
    ada = await signed_in(granted.url, "egi:ada", [GROUP])
    mine = [("gaia", GROUP, "reader", False), ("gaia.spark", "egi:ada", "member", False)]
    assert await granted.roles(ada) == await granted.roles(ada, project="gaia") == mine
    assert await granted.roles(ada, pool="gaia") == mine[:1]
    assert await granted.roles(ada, member="egi:boss") == []


async def test_the_roles_of_the_file_are_for_those_who_have_them_for_the_whole_ledger(granted: World) -> None:
    root, audit = await signed_in(granted.url, ADMIN), await signed_in(granted.url, "egi:x", ["group:egi:audit"])
    file = [(None, ADMIN, "admin", False), (None, "group:egi:audit", "auditor", False)]
    for who in (root, audit):
        rows = await granted.roles(who)
        assert (rows[:2], len(rows)) == (file, 6)
    assert (await granted.roles(root, pool="gaia.spark"))[:2] == [(*row[:3], True) for row in file]
    assert await granted.roles(root, member=ADMIN) == file[:1]


async def test_what_may_not_be_seen_is_answered_like_what_is_not_there(granted: World) -> None:
    eve = await signed_in(granted.url, "egi:eve")
    for path, field, hidden, absent in (
        ("/roles", "project", "gaia", "nope"),
        ("/roles", "pool", "gaia", "nope"),
        ("/roles", "pool", "gaia.spark", "nope.spark"),
        ("/accounts/members", "project", "gaia", "nope"),
    ):
        status, body = await granted.ask(eve, path, **{field: hidden})
        missing = await granted.ask(eve, path, **{field: absent})
        root = await granted.ask(await signed_in(granted.url, ADMIN), path, **{field: absent})
        assert status == 404
        assert (status, str(body).replace(hidden, absent)) == (missing[0], str(missing[1]))
        assert str(missing[1]) == str(root[1])


async def test_a_role_says_since_when_and_by_whom_and_what_it_was_then(granted: World) -> None:
    boss = await signed_in(granted.url, "egi:boss")
    history = granted.project.history
    granted_at = 1 + next(n for n, event in enumerate(history) if getattr(event, "member", "") == "egi:ada")
    _, body = await granted.ask(boss, "/roles", pool="gaia.spark", member="egi:ada")
    (row,) = body["roles"]
    assert (row["granted"], row["actor"], row["at"]) == (granted_at, "ada", "2085-12-31T00:00:00Z")
    assert body["position"] == len(history)
    await granted.do(RevokeRole(pool="gaia.spark", role="member", member="egi:ada"))
    assert await granted.roles(boss, member="egi:ada") == []
    was = [("gaia.spark", "egi:ada", "member", False)]
    assert await granted.roles(boss, member="egi:ada", as_of=granted_at) == was
    assert await granted.roles(boss, member="egi:ada", as_of=granted_at - 1) == []
    root = await signed_in(granted.url, ADMIN)
    assert await granted.roles(root, as_of=granted_at - 1, member=ADMIN) == []


async def test_the_past_is_shown_by_the_rights_of_today(granted: World) -> None:
    boss, before = await signed_in(granted.url, "egi:boss"), len(granted.project.history)
    assert (await granted.ask(boss, "/roles", project="gaia", as_of=before))[0] == 200
    await granted.do(give("gaia", "admin", "egi:next"), RevokeRole(pool="gaia", role="admin", member="egi:boss"))
    assert (await granted.ask(boss, "/roles", project="gaia", as_of=before))[0] == 404


async def test_a_cluster_of_the_same_name_inherits_no_role(granted: World) -> None:
    boss = await signed_in(granted.url, "egi:boss")
    granted.project.at(200)
    period = Period(T0 + 210, T0 + 220)
    await granted.do(CreateCluster(cluster="gaia.spark", parent="gaia", kind="again", period=period, capacity=cores(1)))
    rows = await granted.roles(boss, pool="gaia.spark")
    assert [row[:3] for row in rows] == [("gaia", "egi:boss", "admin"), ("gaia", GROUP, "reader")]
    sparky = await signed_in(granted.url, "egi:sparky")
    assert (await granted.ask(sparky, "/roles", pool="gaia.spark"))[0] == 404


async def test_the_members_of_accounts_are_for_readers(granted: World) -> None:
    ada = await signed_in(granted.url, "egi:ada", [GROUP])
    _, body = await granted.ask(ada, "/accounts/members", project="gaia")
    found = [(row["account"], row["member"]) for row in body["members"]]
    assert found == [("others", "egi:eve"), ("team", "egi:ada"), ("team", GROUP)]
    assert (body["project"], body["position"], body["next"]) == ("gaia", len(granted.project.history), None)
    assert {(row["actor"], row["at"]) for row in body["members"]} == {("ada", "2085-12-31T00:00:00Z")}
    _, team = await granted.ask(ada, "/accounts/members", project="gaia", account="others")
    assert [row["member"] for row in team["members"]] == ["egi:eve"]
    _, none = await granted.ask(ada, "/accounts/members", project="gaia", as_of=2)
    assert none["members"] == []
    await granted.do(give("gaia", "viewer", "egi:eve"))
    status, body = await granted.ask(await signed_in(granted.url, "egi:eve"), "/accounts/members", project="gaia")
    assert (status, body["code"], body["needs"], body["pool"]) == (403, "forbidden", "reader", "gaia")


@pytest.mark.parametrize(("path", "name"), [("/roles", "roles"), ("/accounts/members", "members")])
async def test_pages_have_every_row_once(granted: World, path: str, name: str) -> None:
    boss = await signed_in(granted.url, "egi:boss")
    _, whole = await granted.ask(boss, path, project="gaia")
    rows, query = [], {"project": "gaia", "limit": "1"}
    while True:
        _, page = await granted.ask(boss, path, **query)
        rows += page[name]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert rows == whole[name]
    assert len(rows) > 2


async def test_wrong_parameters_are_named(granted: World) -> None:
    root = await signed_in(granted.url, ADMIN)
    for path, query, field in (
        ("/roles", {"project": "gaia", "pool": "gaia"}, "pool"),
        ("/roles", {"after": "x"}, "after"),
        ("/roles", {"after": "AAAA"}, "after"),
        ("/roles", {"member": "a\0b"}, "member"),
        ("/roles", {"poool": "gaia"}, "poool"),
        ("/me", {"as_of": "1"}, "as_of"),
        ("/accounts/members", {}, "project"),
        ("/accounts/members", {"project": "gaia", "after": "WyJhIl0"}, "after"),
    ):
        status, body = await granted.ask(root, path, **query)
        assert (status, body["errors"][0]["field"]) == (400, field), (path, query)
