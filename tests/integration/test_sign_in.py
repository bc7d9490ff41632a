"""Signing in and out on the page, with a real OpenID Connect provider. Only the browser is not real."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
from litestar.testing import AsyncTestClient

from services.command.app import create_app as create_command
from services.command.sessions import Sessions
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app as create_query
from services.query.settings import Settings as QuerySettings
from shared.identity import attempts
from shared.identity.credentials import COOKIE
from shared.identity.secrets import SESSION, is_secret, new_secret
from shared.identity.sessions import PERSON_MAX
from tests.support.backends import connected
from tests.support.browser_sign_in import PUBLIC, Browser, at_provider, cookies_of, path_of, query_of, sign_in
from tests.support.identity import Provider
from tests.support.signed_in import signed_in

ENDED_S = 5.0  # within so many seconds no process takes a session that has ended
HOST = "hourbook.example.org"
FLAGS = {"HttpOnly", "Secure", "SameSite=lax", "Path=/"}


class Page(NamedTuple):
    command: AsyncTestClient[Any]
    query: AsyncTestClient[Any]
    database_url: str

    def browser(self) -> Browser:
        return Browser(self.command)

    async def me(self, browser: Browser) -> httpx.Response:
        """What the query service, which is another process elsewhere, says of the browser's session."""
        return await self.query.get("/me", headers={"Cookie": f"{COOKIE}={browser.cookies.get(COOKIE, '')}"})

    async def fetch(self, statement: str) -> list[Any]:
        async with connected(self.database_url) as connection:
            return list(await connection.fetch(statement))


@pytest.fixture
async def page(database_url: str, tmp_path: Path, provider: Provider) -> AsyncIterator[Page]:
    """The services, where people sign in with `iam`. Its client is new: in memory, Canaille mixes up two codes of one
    client of which one is left over."""
    client = f"page-{uuid4().hex[:8]}"
    provider.client(client, client, redirect=f"{PUBLIC}/sign-in/iam/callback")
    (tmp_path / "secret").write_text(provider.secrets[client] + "\n")
    file = tmp_path / "auth.toml"
    more = f'client_id = "{client}"\nclient_secret_file = "secret"\ntitle = "The house"\n'
    file.write_text(provider.auth_file() + more + 'scopes = ["profile", "email", "groups"]\n')
    async with contextlib.AsyncExitStack() as stack:
        settings = {"database_url": database_url, "auth_file": str(file)}
        # A slash at the end of the address makes no difference.
        command = create_command(CommandSettings(**settings, public_url=f"{PUBLIC}/"))
        query = create_query(QuerySettings(**settings))
        yield Page(
            await stack.enter_async_context(AsyncTestClient(command, base_url=PUBLIC)),
            await stack.enter_async_context(AsyncTestClient(query, base_url=PUBLIC)),
            database_url,
        )


async def ended(page: Page, browser: Browser) -> None:
    """Waits until no process takes the session, for as long as that may take."""
    async with asyncio.timeout(ENDED_S):
        while (await page.me(browser)).status_code != 401:
            await asyncio.sleep(0.05)


async def test_the_page_learns_how_people_sign_in(page: Page) -> None:
    answer = await page.command.get("/sign-in/ways")
    way = {"kind": "oidc", "name": "iam", "title": "The house", "href": "/sign-in/iam"}
    assert answer.json() == {"open": False, "ways": [way, {"kind": "token"}]}
    assert answer.headers["cache-control"] == "no-store"


async def test_who_signs_in_at_the_issuer_has_a_session(page: Page, provider: Provider) -> None:
    provider.user("hedy", "astronomers")
    browser = page.browser()
    answer = await sign_in(browser, "hedy", to="/?view=month%231#top")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PUBLIC}/?view=month%231#top")
    secret, lasts = cookies_of(answer)[COOKIE]
    assert is_secret(secret, SESSION)
    assert 12 * 3600 - 60 < lasts <= 12 * 3600
    assert cookies_of(answer)[attempts.COOKIE] == ("", 0)
    assert answer.headers["cache-control"] == "no-store"
    for line in answer.headers.get_list("set-cookie"):
        assert set(line.split("; ")) >= FLAGS, line
        assert "domain" not in line.lower()
    told = (await page.me(browser)).json()
    assert (told["id"], told["auth"]) == ("iam:hedy", "oidc")
    (person,) = await page.fetch("SELECT id, name, email, groups FROM person WHERE id = 'iam:hedy'")
    assert tuple(person) == ("iam:hedy", "Hedy", "hedy@example.org", ["group:iam:astronomers"])
    (session,) = await page.fetch("SELECT * FROM session")
    assert secret.encode() not in session["hash"]
    assert (session["groups"], session["sealed"]) == (["group:iam:astronomers"], None)


async def test_an_attempt_is_bound_to_its_browser(page: Page, provider: Provider) -> None:
    """Login CSRF: an attacker signs in, keeps the issuer's answer, and has the victim's browser open it."""
    provider.user("mallory")
    attacker, victim = page.browser(), page.browser()
    begun = await attacker.get("/sign-in/iam", Host=HOST)
    assert set(begun.headers["set-cookie"].split("; ")) >= FLAGS | {"Max-Age=600"}
    back = path_of(await asyncio.to_thread(at_provider, begun.headers["location"], "mallory", "mallorymallory"))
    for cookies in ({}, {attempts.COOKIE: "e30"}):
        victim.cookies = dict(cookies)
        answer = await victim.get(back)
        assert (answer.status_code, answer.json()["code"]) == (400, "sign_in_failed")
    await victim.get("/sign-in/iam", Host=HOST)  # an attempt of the victim's own does not help the attacker
    assert (await victim.get(back)).status_code == 400
    assert COOKIE not in victim.cookies
    assert attempts.COOKIE in victim.cookies  # and the victim's goes on
    assert await page.fetch("SELECT FROM session") == []


async def test_an_answer_is_good_once(page: Page, provider: Provider) -> None:
    provider.user("once")
    browser = page.browser()
    begun = await browser.get("/sign-in/iam", Host=HOST)
    kept = dict(browser.cookies)
    back = path_of(await asyncio.to_thread(at_provider, begun.headers["location"], "once", "onceonce"))
    assert (await browser.get(back)).status_code == 303
    assert (await browser.get(back)).status_code == 400  # the attempt's cookie is gone
    browser.cookies = kept
    again = await browser.get(back)  # whoever kept it all: the issuer does not take its code twice
    assert (again.status_code, again.json()["code"]) == (400, "sign_in_failed")
    assert COOKIE not in browser.cookies


async def test_a_session_that_somebody_planted_is_replaced(page: Page, provider: Provider) -> None:
    """Session fixation: the victim signs in with a cookie that the attacker knows."""
    provider.user("fixed")
    planted = (await signed_in(page.database_url, "iam:mallory"))["Cookie"].partition("=")[2]
    for known in (planted, new_secret(SESSION), "nonsense"):
        browser = page.browser()
        browser.cookies[COOKIE] = known
        assert (await sign_in(browser, "fixed")).status_code == 303
        assert browser.cookies[COOKIE] != known
        assert (await page.me(browser)).json()["id"] == "iam:fixed"
        attacker = page.browser()
        attacker.cookies[COOKIE] = known
        assert (await attacker.post("/projects/create", {})).status_code == 401


async def test_what_a_request_says_of_its_host_does_not_move_the_way_back(page: Page) -> None:
    for forged in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}):
        first = await page.browser().get("/sign-in/iam?to=/x", **forged)
        assert "evil" not in first.headers["location"]
        if "Host" in forged:  # first to the address of the page, so that the cookie comes along when the issuer answers
            assert first.headers["location"] == f"{PUBLIC}/sign-in/iam?to=%2Fx&here=1"
            first = await page.browser().get("/sign-in/iam?to=/x&here=1", **forged)
        assert query_of(first.headers["location"])["redirect_uri"] == f"{PUBLIC}/sign-in/iam/callback"


async def test_the_issuer_is_asked_with_what_protects_the_code(page: Page) -> None:
    browser = page.browser()
    first, second = [query_of((await browser.get("/sign-in/iam", Host=HOST)).headers["location"]) for _ in "12"]
    assert (first["response_type"], first["code_challenge_method"]) == ("code", "S256")
    assert first["scope"] == "openid profile email groups"
    for random in ("state", "nonce", "code_challenge"):
        assert len(first[random]) == 43
        assert first[random] != second[random]
    assert first["client_id"].startswith("page-")
    assert "client_secret" not in first


async def test_who_signs_out_is_out_everywhere_within_five_seconds(page: Page, provider: Provider) -> None:
    provider.user("leaver")
    browser, other = page.browser(), page.browser()
    for one in (browser, other):
        await sign_in(one, "leaver")
        assert (await page.me(one)).status_code == 200  # now the query service knows it by heart
    kept = page.browser()
    kept.cookies = dict(browser.cookies)
    answer = await browser.post("/sign-out")
    assert (answer.status_code, answer.json()["ended"]) == (200, 1)
    assert query_of(answer.json()["at_issuer"])["post_logout_redirect_uri"] == f"{PUBLIC}/"
    assert COOKIE not in browser.cookies
    assert (await kept.post("/projects/create", {})).status_code == 401  # at once, where it was ended
    await ended(page, kept)
    assert (await page.me(other)).status_code == 200
    again = await kept.post("/sign-out")
    assert (again.status_code, again.json(), COOKIE in kept.cookies) == (200, {"ended": 0, "at_issuer": None}, False)


async def test_who_signs_out_everywhere_has_no_session_left(page: Page, provider: Provider) -> None:
    provider.user("nomad")
    here, there = page.browser(), page.browser()
    for one in (here, there):
        await sign_in(one, "nomad")
        assert (await page.me(one)).status_code == 200
    stranger = page.browser()
    assert (await stranger.post("/sign-out/everywhere")).status_code == 401
    answer = await here.post("/sign-out/everywhere")
    assert (answer.status_code, answer.json()["ended"], COOKIE in here.cookies) == (200, 2, False)
    await ended(page, there)


@pytest.mark.parametrize("path", ["/sign-out", "/sign-out/everywhere", "/sign-in/token"])
async def test_nothing_but_a_command_signs_anybody_out(page: Page, path: str) -> None:
    """So a link, or an image of another site, cannot; and commands of other sites are refused by the guard."""
    assert (await page.command.get(path)).status_code in (401, 404, 405)


async def test_sessions_of_one_person_are_bounded_and_expired_ones_go(page: Page, provider: Provider) -> None:
    provider.user("hoarder")
    first = page.browser()
    await sign_in(first, "hoarder")
    assert (await page.me(first)).status_code == 200
    for _ in range(PERSON_MAX - 1):
        await signed_in(page.database_url, "iam:hoarder")
    assert len(await page.fetch("SELECT FROM session")) == PERSON_MAX
    last = page.browser()
    await sign_in(last, "hoarder")
    assert len(await page.fetch("SELECT FROM session")) == PERSON_MAX
    await ended(page, first)
    await page.fetch("UPDATE session SET expires_at = now() - interval '1 second' WHERE sealed IS NULL")
    await Sessions(page.database_url, 12).sweep()
    assert await page.fetch("SELECT FROM session") == []
