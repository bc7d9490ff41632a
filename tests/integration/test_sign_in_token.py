"""A session that a token began: it may do what the token may at each moment, and ends with it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from services.command.app import create_app as create_command
from services.command.settings import Settings as CommandSettings
from shared.identity.credentials import COOKIE, Bearer, KeystoneToken
from shared.identity.errors import InvalidCredential
from shared.identity.roles import Limit
from shared.identity.sealing import seal, unseal
from shared.identity.secrets import SESSION, TOKEN, new_secret
from tests.support.browser_sign_in import PUBLIC, Browser, cookies_of
from tests.support.identity import Provider
from tests.support.sign_in_page import Page, opened
from tests.support.signed_in import ADMIN, auth_file, signed_in, with_token


@pytest.fixture
async def page(database_url: str, tmp_path: Path) -> AsyncIterator[Page]:
    async with opened(database_url, auth_file(tmp_path)) as page:
        yield page


def secret_of(headers: dict[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


def template(project: str, name: str) -> dict[str, Any]:
    return {"project": project, "name": name, "cores": 1}


async def test_a_session_of_a_token_has_the_limits_of_the_token(page: Page) -> None:
    secret = secret_of(await with_token(page.url, Limit("manager", "gaia")))
    browser = await page.sign_in(secret)
    answer = await browser.post("/templates/create", template("gaia", "a"))
    assert answer.status_code == 201, answer.text
    event = answer.json()["decided"][0]
    assert (event["actor"].partition(":")[0], event["auth"]) == ("token", "token")
    assert (await browser.post("/templates/create", template("euclid", "a"))).status_code == 404
    assert (await browser.post("/projects/create", {"id": "x", "name": "X"})).status_code == 403
    made = await browser.post("/tokens/create", {"name": "more", "limits": [{"role": "reader", "pool": "gaia"}]})
    assert (made.status_code, made.json()["code"]) == (403, "person_needed")
    assert (await page.me(browser)).json()["id"] == event["actor"]


async def test_a_session_of_a_token_ends_with_the_token(page: Page) -> None:
    secret = secret_of(await with_token(page.url, Limit("reader")))
    browser = await page.sign_in(secret)
    assert (await page.me(browser)).status_code == 200
    (record,) = await page.execute("SELECT id FROM token")
    root = await signed_in(page.url, ADMIN)
    assert (await page.command.post(f"/tokens/{record['id']}/revoke", headers=root)).status_code == 200
    await page.ended(browser)
    again = await Browser(page.command).post("/sign-in/token", {"token": secret})
    assert (again.status_code, again.json()["code"]) == (401, "invalid_credential")
    assert "set-cookie" not in again.headers


async def test_a_session_lasts_no_longer_than_its_token(page: Page) -> None:
    secret = secret_of(await with_token(page.url, Limit("reader"), lasts=timedelta(seconds=90)))
    answer = await Browser(page.command).post("/sign-in/token", {"token": secret})
    assert 60 < cookies_of(answer)[COOKIE][1] <= 90


async def test_a_session_of_a_persons_token_does_no_more_than_its_maker_may_now(page: Page) -> None:
    root = await signed_in(page.url, ADMIN)
    role = {"pool": "gaia", "role": "manager", "member": "egi:ada"}
    assert (await page.command.post("/roles/grant", json=role, headers=root)).status_code == 201
    browser = await page.sign_in(secret_of(await with_token(page.url, Limit("manager"), maker="egi:ada")))
    assert (await browser.post("/templates/create", template("gaia", "a"))).status_code == 201
    assert (await page.command.post("/roles/revoke", json=role, headers=root)).status_code in (200, 201)
    assert (await browser.post("/templates/create", template("gaia", "b"))).status_code == 404


NO_TOKENS = [new_secret(TOKEN), new_secret(SESSION), "hbk_", "x", "a.b.c", "é", "\0", "a b", " "]


@pytest.mark.parametrize("token", NO_TOKENS, ids=range(len(NO_TOKENS)))
async def test_what_is_no_token_begins_no_session(page: Page, token: str) -> None:
    answer = await Browser(page.command).post("/sign-in/token", {"token": token})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credential")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": 7}, {"token": "x" * 70_000}, {"token": "x", "to": "/"}])
async def test_a_body_that_is_wrong_is_named_without_the_token(page: Page, body: dict[str, Any]) -> None:
    answer = await Browser(page.command).post("/sign-in/token", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field")
    assert "xxx" not in answer.text


async def test_where_nobody_signs_in_there_are_no_sessions(database_url: str) -> None:
    async with AsyncTestClient(create_command(CommandSettings(database_url=database_url)), base_url=PUBLIC) as client:
        assert (await client.get("/sign-in/ways")).json() == {"open": True, "ways": []}
        for answer in (
            await client.get("/sign-in/iam"),
            await client.get("/sign-in/iam/callback"),
            await client.post("/sign-in/token", json={"token": "x"}),
            await client.post("/sign-out"),
            await client.post("/sign-out/everywhere"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (409, "sign_in_not_set_up")


async def test_without_its_public_address_the_page_says_what_to_set(
    database_url: str, tmp_path: Path, provider: Provider
) -> None:
    (tmp_path / "auth.toml").write_text(provider.auth_file() + 'client_id = "page"\n')
    settings = CommandSettings(database_url=database_url, auth_file=str(tmp_path / "auth.toml"))
    async with AsyncTestClient(create_command(settings), base_url=PUBLIC) as client:
        answer = await client.get("/sign-in/iam", headers={"Accept": "text/html"})
    assert answer.status_code == 409
    assert "HOURBOOK_PUBLIC_URL" in answer.text


async def test_a_session_of_an_access_token_is_the_persons(
    database_url: str, tmp_path: Path, provider: Provider
) -> None:
    provider.user("bearer", "observers")
    async with opened(database_url, auth_file(tmp_path, more=provider.auth_file())) as page:
        token = (await asyncio.to_thread(provider.sign_in, "bearer")).access
        browser = await page.sign_in(token)
        assert (await page.me(browser)).json()["id"] == "iam:bearer"
        (kept,) = await page.execute("SELECT * FROM session WHERE sealed IS NOT NULL")
        assert token.encode() not in kept["sealed"]
        assert unseal(kept["sealed"], browser.cookies[COOKIE]) == Bearer(token)
        # the same row with another cookie's hash opens nothing
        stolen = new_secret(SESSION)
        await page.execute("UPDATE session SET hash = sha256($1) WHERE hash = $2", stolen.encode(), kept["hash"])
        await page.execute("UPDATE identity_head SET version = version + 1")
        browser.cookies[COOKIE] = stolen
        await page.ended(browser)


@pytest.mark.parametrize("token", [Bearer("x" * 60_000), KeystoneToken("gAAA-_")])
def test_a_sealed_token_opens_with_its_own_secret_only(token: Bearer | KeystoneToken) -> None:
    secret = new_secret(SESSION)
    sealed = seal(token, secret)
    assert unseal(sealed, secret) == token
    other = b"BA" if sealed.endswith(b"AA") else b"AA"  # one seal in 256 ends so
    broken = (sealed[:-2] + other, sealed[:10], b"", b"....", sealed.replace(b".", b"", 1))
    for wrong, key in ((sealed, new_secret(SESSION)), *((one, secret) for one in broken)):
        with pytest.raises(InvalidCredential):
            unseal(wrong, key)
