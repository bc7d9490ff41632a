"""Commands of principals: who may give which, decided by the writer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from services.command.app import create_app
from services.command.settings import Settings
from shared.identity.roles import Limit
from tests.support.backends import as_role
from tests.support.signed_in import ADMIN, auth_file, signed_in, with_token

MONTH = {"startdate": "2086-01-01", "enddate": "2086-01-31"}
Headers = dict[str, str]


@pytest.fixture
async def client(database_url: str, tmp_path: Path) -> AsyncIterator[AsyncTestClient[Any]]:
    settings = Settings(database_url=as_role(database_url, "command"), auth_file=auth_file(tmp_path))
    async with AsyncTestClient(create_app(settings)) as client:
        yield client


@pytest.fixture
async def root(client: AsyncTestClient[Any], database_url: str) -> Headers:
    """The admin of the ledger, with the project gaia, its clusters spark and other, and the account team."""
    root = await signed_in(database_url, ADMIN)
    for path, body in (
        ("/projects/create", {"id": "gaia", "name": "Gaia"}),
        ("/resources/create", {"project": "gaia", "cores": 100, **MONTH}),
        ("/clusters/create", {"parent": "gaia", "name": "spark", "cores": 10, **MONTH}),
        ("/clusters/create", {"parent": "gaia", "name": "other", "cores": 10, **MONTH}),
        ("/accounts/create", {"project": "gaia", "account": "team"}),
    ):
        answer = await client.post(path, json=body, headers=root)
        assert answer.status_code == 201, answer.text
    return root


def booking(pool: str, **fields: Any) -> dict[str, Any]:
    return {"clusterid" if "." in pool else "project": pool, "account": "team", "cores": 1, **MONTH, **fields}


async def code_of(client: AsyncTestClient[Any], who: Headers, path: str, body: dict[str, Any]) -> tuple[int, str]:
    answer = await client.post(path, json=body, headers=who)
    return answer.status_code, answer.json().get("code", "")


async def give(client: AsyncTestClient[Any], root: Headers, pool: str, role: str, member: str) -> None:
    answer = await client.post("/roles/grant", json={"pool": pool, "role": role, "member": member}, headers=root)
    assert answer.status_code == 201, answer.text


async def test_a_stranger_is_told_to_sign_in(client: AsyncTestClient[Any]) -> None:
    answer = await client.post("/projects/create", json={"id": "gaia", "name": "Gaia"})
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_required")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    for path in ("/health", "/live"):
        assert (await client.get(path)).status_code == 200
    named = {"X-Hourbook-Actor": ADMIN}
    assert (
        await client.post("/projects/create", json={"id": "gaia", "name": "Gaia"}, headers=named)
    ).status_code == 401


async def test_whoever_creates_a_project_is_its_admin_and_the_events_say_how_it_was_proven(
    client: AsyncTestClient[Any], database_url: str
) -> None:
    root = await signed_in(database_url, ADMIN)
    forged = {**root, "X-Hourbook-Actor": "somebody"}
    answer = await client.post("/projects/create", json={"id": "gaia", "name": "Gaia"}, headers=forged)
    created, granted = answer.json()["decided"]
    assert (created["actor"], created["auth"]) == (ADMIN, "oidc")
    assert (granted["type"], granted["role"], granted["member"]) == ("RoleGranted", "admin", ADMIN)
    last = {"pool": "gaia", "role": "admin", "member": ADMIN}
    assert await code_of(client, root, "/roles/revoke", last) == (409, "last_admin")


async def test_a_role_on_a_cluster_gives_nothing_beside_it_or_above(
    client: AsyncTestClient[Any], root: Headers, database_url: str
) -> None:
    ada = await signed_in(database_url, "egi:ada")
    assert await code_of(client, ada, "/bookings/create", booking("gaia.spark")) == (404, "unknown_id")
    await give(client, root, "gaia.spark", "member", "egi:ada")
    assert await code_of(client, ada, "/bookings/create", booking("gaia.spark")) == (403, "forbidden")
    joined = {"project": "gaia", "member": "egi:ada"}
    assert await code_of(client, root, "/accounts/team/members/add", joined) == (201, "")
    assert await code_of(client, ada, "/bookings/create", booking("gaia.spark")) == (201, "")
    assert await code_of(client, ada, "/bookings/create", booking("gaia.other")) == (404, "unknown_id")
    assert await code_of(client, ada, "/bookings/create", booking("gaia")) == (404, "unknown_id")
    assert await code_of(client, ada, "/clusters/gaia.spark/resize", {"cores": 20}) == (404, "unknown_id")


async def test_what_may_not_be_seen_is_answered_like_what_is_not_there(
    client: AsyncTestClient[Any], root: Headers, database_url: str
) -> None:
    ada = await signed_in(database_url, "egi:ada")
    held = (await client.post("/bookings/create", json=booking("gaia"), headers=root)).json()["id"]
    missing = "018f0000-0000-7000-8000-000000000000"
    hidden = await client.post(f"/bookings/{held}/cancel", json={}, headers=ada)
    absent = await client.post(f"/bookings/{missing}/cancel", json={}, headers=ada)
    assert (hidden.status_code, hidden.text.replace(held, missing)) == (404, absent.text)
    project = await client.post("/bookings/create", json=booking("gaia"), headers=ada)
    nothing = await client.post("/bookings/create", json=booking("nope"), headers=ada)
    assert (project.status_code, project.text.replace("gaia", "nope")) == (404, nothing.text)


async def test_a_role_that_is_revoked_in_a_batch_is_gone_for_the_booking_behind_it(
    client: AsyncTestClient[Any], root: Headers, database_url: str
) -> None:
    ada = await signed_in(database_url, "egi:ada")
    await give(client, root, "gaia", "manager", "egi:ada")
    role = {"pool": "gaia", "role": "manager", "member": "egi:ada"}
    revoked, *booked = await asyncio.gather(
        code_of(client, root, "/roles/revoke", role),
        *(code_of(client, ada, "/bookings/create", booking("gaia")) for _ in range(20)),
    )
    assert revoked == (201, "")
    assert set(booked) <= {(201, ""), (404, "unknown_id")}
    assert await code_of(client, ada, "/bookings/create", booking("gaia")) == (404, "unknown_id")


async def test_a_token_may_no_more_than_its_limits_and_its_maker(
    client: AsyncTestClient[Any], root: Headers, database_url: str
) -> None:
    await signed_in(database_url, "egi:ada")
    await give(client, root, "gaia", "manager", "egi:ada")
    wide = await with_token(database_url, Limit("admin"), maker="egi:ada")
    narrow = await with_token(database_url, Limit("manager", "gaia.spark"), maker="egi:ada")
    operator = await with_token(database_url, Limit("manager", "gaia"))
    assert await code_of(client, wide, "/bookings/create", booking("gaia")) == (201, "")
    role = {"pool": "gaia", "role": "viewer", "member": "egi:eve"}
    assert await code_of(client, wide, "/roles/grant", role) == (403, "forbidden")
    assert await code_of(client, narrow, "/bookings/create", booking("gaia.spark")) == (201, "")
    assert await code_of(client, narrow, "/bookings/create", booking("gaia")) == (404, "unknown_id")
    assert await code_of(client, operator, "/bookings/create", booking("gaia")) == (201, "")
    assert await code_of(client, operator, "/roles/grant", role) == (403, "forbidden")
    manager = {"pool": "gaia", "role": "manager", "member": "egi:ada"}
    assert await code_of(client, root, "/roles/revoke", manager) == (201, "")
    assert await code_of(client, wide, "/bookings/create", booking("gaia")) == (404, "unknown_id")


async def test_people_of_an_issuer_that_left_the_auth_file_are_strangers(database_url: str, tmp_path: Path) -> None:
    other = await signed_in(database_url, "other:ada")
    token = await with_token(database_url, Limit("admin"), maker="other:ada")
    settings = Settings(database_url=as_role(database_url, "command"), auth_file=auth_file(tmp_path))
    async with AsyncTestClient(create_app(settings)) as client:
        for who in (other, token):
            body = {"id": "gaia", "name": "Gaia"}
            assert await code_of(client, who, "/projects/create", body) == (401, "invalid_credential")


async def test_a_new_project_may_name_its_first_admin(client: AsyncTestClient[Any], database_url: str) -> None:
    operator = await with_token(database_url, Limit("admin"))
    body = {"id": "gaia", "name": "Gaia", "admin": "group:egi:team"}
    answer = await client.post("/projects/create", json=body, headers=operator)
    assert [event.get("member") for event in answer.json()["decided"]] == [None, "group:egi:team"]
    wrong = await client.post("/projects/create", json=body | {"id": "other", "admin": "team"}, headers=operator)
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "admin")
    ada = await signed_in(database_url, "egi:ada", ["group:egi:team"])
    assert await code_of(client, ada, "/roles/grant", {"pool": "gaia", "role": "reader", "member": "egi:eve"}) == (
        201,
        "",
    )
