"""Signing in on the page with an issuer whose answers are wrong: nobody gets a session, and nothing secret is told."""

import base64
import contextlib
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx
import pytest
from aiohttp import web

from services.command.app import create_app
from services.command.settings import Settings
from shared.http.entrance import entrance_of
from shared.identity import attempts
from shared.identity.credentials import COOKIE
from tests.support.browser_sign_in import PUBLIC, Browser, query_of
from tests.support.issuers import EC, OTHER_RSA, OwnIssuer, claims_of, own_issuer, segment, signed
from tests.support.listening import listening

HOST = "hourbook.example.org"
CLIENT, SECRET, ACCESS, CODE = "the-page", "client-secret-1", "access-token-1", "code-1"
Change = Callable[[OwnIssuer, dict[str, Any]], None]


class Page(NamedTuple):
    """The page of a service that trusts the issuer `own`, and another one."""

    issuer: OwnIssuer
    browser: Browser
    other: OwnIssuer

    async def begin(self, issuer: str = "own") -> dict[str, str]:
        """Begins an attempt. Returns what the issuer is asked."""
        answer = await self.browser.get(f"/sign-in/{issuer}")
        assert answer.status_code == 303, answer.text
        return query_of(answer.headers["location"])

    async def come_back(self, asked: dict[str, str], issuer: str = "own", **said: str) -> httpx.Response:
        question = {"code": CODE, "state": asked["state"], **said}
        return await self.browser.get(f"/sign-in/{issuer}/callback?{urlencode(question)}")

    def gives(self, id_token: str, **more: Any) -> None:
        """The answer of the token endpoint from now on."""
        answer = {"access_token": ACCESS, "token_type": "Bearer", "id_token": id_token, **more}
        self.issuer.documents["/token"] = web.json_response(answer)


def endpoints(issuer: OwnIssuer) -> None:
    issuer.discovery |= {"authorization_endpoint": f"{issuer.url}/authorize", "token_endpoint": f"{issuer.url}/token"}


def claims(issuer: OwnIssuer, asked: dict[str, str], **changed: Any) -> dict[str, Any]:
    """The claims of an ID token that is right now, but for what is changed; None leaves one out."""
    now = int(time.time())
    right = {"aud": CLIENT, "nonce": asked["nonce"], "iat": now, "exp": now + 60, "scope": None, "name": "Ada"}
    return claims_of(issuer.url, **{**right, **changed})


@pytest.fixture
async def page(database_url: str, tmp_path: Path) -> AsyncIterator[Page]:
    async with contextlib.AsyncExitStack() as stack:
        issuer, other = [await stack.enter_async_context(own_issuer()) for _ in "12"]
        text = ""
        for name, one in (("own", issuer), ("other", other)):
            endpoints(one)
            text += f'[oidc.{name}]\nissuer = "{one.url}"\naudience = "api"\nclient_id = "{CLIENT}"\n'
            text += 'client_secret_file = "secret"\n'
        (tmp_path / "secret").write_text(SECRET)
        (tmp_path / "auth.toml").write_text(text)
        settings = Settings(database_url=database_url, auth_file=str(tmp_path / "auth.toml"), public_url=PUBLIC)
        address = await stack.enter_async_context(listening(create_app(settings), entrance=entrance_of(settings)))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=address, headers={"Host": HOST}))
        yield Page(issuer, Browser(client), other)


def is_refused(page: Page, answer: httpx.Response, status: int = 400, code: str = "sign_in_failed") -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert COOKIE not in page.browser.cookies
    assert answer.headers["cache-control"] == "no-store"
    for secret in (SECRET, ACCESS, CODE, "eyJ"):
        assert secret not in answer.text


def half(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()[:16]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@pytest.mark.parametrize("changed", [{}, {"aud": [CLIENT]}, {"azp": CLIENT}, {"at_hash": half(ACCESS)}])
async def test_an_answer_that_is_right_begins_a_session(page: Page, changed: dict[str, Any]) -> None:
    asked = await page.begin()
    page.gives(signed(claims(page.issuer, asked, **changed)))
    answer = await page.come_back(asked, iss=page.issuer.url)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == f"{PUBLIC}/"
    assert COOKIE in page.browser.cookies


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another-client"]},  # and it does not say for which it was made
        {"aud": ["another-client"], "azp": CLIENT},
        {"azp": "another-client"},
        {"iss": "https://evil.example"},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iat": 4_000_000_000},
        {"iat": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"at_hash": half("another token")},
        {"at_hash": 7},
        {"typ": "Bearer"},
        {"events": {}},
        {"groups": {"a": 1}},
    ],
    ids=str,
)
async def test_an_id_token_that_is_not_for_this_attempt_is_refused(page: Page, changed: dict[str, Any]) -> None:
    asked = await page.begin()
    page.gives(signed(claims(page.issuer, asked, **changed)))
    is_refused(page, await page.come_back(asked))
    assert attempts.COOKIE not in page.browser.cookies  # it is used up


FORGED: list[Callable[[dict[str, Any]], str]] = [
    lambda right: f"{segment({'alg': 'none'})}.{segment(right)}.",
    lambda right: f"{segment({'alg': 'None', 'kid': 'rsa'})}.{segment(right)}.",
    lambda right: signed(right).rpartition(".")[0] + "." + segment(b"x" * 256),
    lambda right: signed(right, OTHER_RSA),
    lambda right: signed(right, OTHER_RSA, kid="rsa"),
    lambda right: signed(right, typ="at+jwt"),
    lambda right: signed(right, EC, "ES256", crit=["kid"]),
    lambda _: "nonsense",
    lambda _: ACCESS,
]


@pytest.mark.parametrize("forged", FORGED)
async def test_a_signature_that_is_not_the_issuers_is_refused(
    page: Page, forged: Callable[[dict[str, Any]], str]
) -> None:
    asked = await page.begin()
    page.gives(forged(claims(page.issuer, asked)))
    is_refused(page, await page.come_back(asked))


async def test_the_answer_of_another_attempt_or_of_none_is_refused(page: Page) -> None:
    is_refused(page, await page.come_back({"state": "x"}))
    first = await page.begin()
    kept = dict(page.browser.cookies)
    second = await page.begin()
    page.gives(signed(claims(page.issuer, second)))
    for wrong in (
        first,
        {"state": ""},
        {"state": second["state"] + "x"},
        {"state": "\udcff".encode("utf-8", "replace")},
    ):
        is_refused(page, await page.come_back(wrong))
    page.browser.cookies = kept  # the cookie of the first attempt, and the state of the second
    is_refused(page, await page.come_back(second))
    is_refused(page, await page.browser.get("/sign-in/own/callback"))
    assert page.issuer.asked.count("/token") == 0  # nobody's code was spent


async def test_issuers_are_not_mixed_up(page: Page) -> None:
    """An evil issuer gets a code of an honest one to be sent to itself (RFC 9207)."""
    asked = await page.begin("own")
    page.gives(signed(claims(page.issuer, asked)))
    is_refused(page, await page.come_back(asked, issuer="other"))  # back to the address of another issuer
    is_refused(page, await page.come_back(asked, iss=page.other.url))
    asked = await page.begin("own")
    is_refused(page, await page.come_back(asked, iss=page.issuer.url + "/"))
    assert page.issuer.asked.count("/token") + page.other.asked.count("/token") == 0


async def test_an_issuer_that_names_itself_must_do_so_each_time(page: Page) -> None:
    page.issuer.discovery["authorization_response_iss_parameter_supported"] = True
    asked = await page.begin()
    page.gives(signed(claims(page.issuer, asked)))
    is_refused(page, await page.come_back(asked))
    asked = await page.begin()
    page.gives(signed(claims(page.issuer, asked)))
    assert (await page.come_back(asked, iss=page.issuer.url)).status_code == 303


async def test_what_an_issuer_says_of_an_error_is_not_repeated(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    evil = "<script>alert(1)</script>"
    for path in (f"error={evil}&error_description={evil}", f"error=access_denied&error_uri={evil}", f"code=&x={evil}"):
        for accept in ("text/html,*/*", "*/*"):
            asked = await page.begin()
            address = f"/sign-in/own/callback?{path}&state={asked['state']}"
            answer = await page.browser.get(address, Accept=accept)
            assert answer.status_code == 400
            assert "script" not in answer.text
            assert answer.headers["cache-control"] == "no-store"
            assert COOKIE not in page.browser.cookies
            if accept != "*/*":
                assert answer.headers["content-type"].startswith("text/html")
                assert "default-src 'none'" in answer.headers["content-security-policy"]
                assert 'href="/sign-in/own"' in answer.text
    unknown = await page.browser.get(f"/sign-in/{evil.replace('/', '%2F')}", Accept="text/html")
    assert (unknown.status_code, "<script" in unknown.text) == (404, False)
    ours = [
        record.getMessage() for record in caplog.records if record.name != "httpx"
    ]  # the test's own client logs too
    assert "alert" not in "".join(ours).replace(repr(evil), "")


@pytest.mark.parametrize(
    ("answered", "status", "code"),
    [
        (web.json_response({"error": "invalid_grant", "error_description": SECRET}, status=400), 400, "sign_in_failed"),
        (web.json_response({"error": "invalid_client"}, status=401), 400, "sign_in_failed"),
        (web.json_response({"error": "x"}, status=500), 503, "identity_unavailable"),
        (web.Response(text="<html>busy</html>", status=502), 503, "identity_unavailable"),
        (web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), 503, "identity_unavailable"),
        (web.json_response([1]), 503, "identity_unavailable"),
        (web.json_response({"access_token": ACCESS}), 503, "identity_unavailable"),
        (web.json_response({"access_token": "a\nb", "id_token": "x"}), 503, "identity_unavailable"),
        (web.Response(body=b"[" * 2_000_000), 503, "identity_unavailable"),
    ],
    ids=str,
)
async def test_a_token_endpoint_that_fails_signs_nobody_in(
    page: Page, answered: web.Response, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked = await page.begin()
    page.issuer.documents["/token"] = answered
    is_refused(page, await page.come_back(asked), status, code)
    logged = [one.getMessage() for one in caplog.records if one.name.startswith(("services", "shared", "uvicorn"))]
    assert len(logged) == 1
    assert not [line for line in logged if SECRET in line or CODE in line or ACCESS in line]


async def test_an_issuer_that_is_away_is_said_to_be_away(page: Page) -> None:
    page.other.documents["/.well-known/openid-configuration"] = web.Response(status=500)
    answer = await page.browser.get("/sign-in/other", Accept="text/html")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "<h1>" in answer.text


async def test_the_code_is_exchanged_with_the_secret_and_the_verifier(page: Page) -> None:
    asked = await page.begin()
    page.gives(signed(claims(page.issuer, asked)))
    await page.come_back(asked)
    (request,) = [request for request in page.issuer.requests if request.path == "/token"]
    (form,) = page.issuer.forms
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
    assert form["redirect_uri"] == f"{PUBLIC}/sign-in/own/callback"
    assert request.headers["authorization"] == "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    assert SECRET not in form.values()


async def test_userinfo_counts_for_the_same_person_only(page: Page) -> None:
    page.issuer.discovery["userinfo_endpoint"] = f"{page.issuer.url}/me"
    for said, status in (
        ({"sub": "mallory", "groups": ["admins"]}, 400),
        ({"groups": ["admins"]}, 400),
        ({"sub": "ada", "groups": ["users"], "iss": "x", "exp": 1}, 303),
    ):
        page.issuer.documents["/me"] = web.json_response(said)
        asked = await page.begin()
        page.gives(signed(claims(page.issuer, asked)))
        assert (await page.come_back(asked)).status_code == status
    asked_of = [request for request in page.issuer.requests if request.path == "/me"]
    assert {request.headers["authorization"] for request in asked_of} == {f"Bearer {ACCESS}"}


@pytest.mark.parametrize(
    "to", ["//evil.example", "/\\evil.example", "/%5cevil.example", "https:evil.example", "/%0d%0aX: 1"]
)
async def test_nobody_is_sent_to_another_site(page: Page, to: str) -> None:
    answer = await page.browser.get(f"/sign-in/own?{urlencode({'to': to})}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field")
    assert attempts.COOKIE not in page.browser.cookies
    planted = attempts.Attempt("own", "s", "n", "v", to, time.time() + 60)
    page.browser.cookies[attempts.COOKIE] = planted.cookie()
    is_refused(page, await page.come_back({"state": "s"}))
