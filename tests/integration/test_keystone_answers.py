"""Answers that a Keystone, or what stands before it, may give to a token."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from shared.identity.auth_file import KeystoneIssuer
from shared.identity.errors import IdentityUnavailable, InvalidCredential
from shared.identity.keystone import UNTIL_S, KeystoneVerifier
from shared.identity.secrets import FEED, SESSION, TOKEN, Kind, new_secret
from tests.support.issuers import NOW, Clock, OwnIssuer, own_issuer

PATH = "/v3/auth/tokens"


@pytest.fixture
async def answering() -> AsyncIterator[OwnIssuer]:
    async with own_issuer() as made:
        yield made


@pytest.fixture
async def verifier(answering: OwnIssuer) -> AsyncIterator[KeystoneVerifier]:
    made = KeystoneVerifier("ours", KeystoneIssuer(url=f"{answering.url}/v3/"), Clock())
    yield made
    await made.close()


def token(**changed: Any) -> web.Response:
    body = {"user": {"id": "u1", "name": "ada"}, "expires_at": "2085-05-07T07:08:09.000000Z", **changed}
    return web.json_response({"token": body})


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_answers_that_refuse_the_token(answering: OwnIssuer, verifier: KeystoneVerifier, status: int) -> None:
    answering.documents[PATH] = web.Response(status=status, text="secret-token")
    with pytest.raises(InvalidCredential) as error:
        await verifier.verify("secret-token")
    assert "secret-token" not in str(error.value)


@pytest.mark.parametrize("status", [201, 204, 300, 302, 400, 408, 429, 500, 502, 503])
async def test_answers_that_say_nothing_of_the_token(
    answering: OwnIssuer, verifier: KeystoneVerifier, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    answering.documents[PATH] = web.Response(status=status, headers={"location": f"{answering.url}/evil"})
    with pytest.raises(IdentityUnavailable):
        await verifier.verify("secret-token")
    assert answering.asked == [PATH]
    assert f"Keystone ours: it answered {status}" in caplog.text
    assert "secret-token" not in caplog.text


async def test_many_tokens_that_cannot_be_checked_make_one_line_of_the_log(
    answering: OwnIssuer, verifier: KeystoneVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    answering.documents[PATH] = web.Response(status=503)
    for number in range(5):
        with pytest.raises(IdentityUnavailable):
            await verifier.verify(f"token-{number}")
    assert len(answering.asked) == 5
    assert caplog.text.count("Keystone ours") == 1


@pytest.mark.parametrize("kind", [TOKEN, SESSION, FEED])
async def test_a_secret_of_hourbook_does_not_go_to_keystone(
    answering: OwnIssuer, verifier: KeystoneVerifier, kind: Kind
) -> None:
    answering.documents[PATH] = token()
    with pytest.raises(InvalidCredential):
        await verifier.verify(new_secret(kind))
    assert answering.asked == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>",
        "[]",
        "{}",
        '{"token":{}}',
        '{"token":{"user":{"id":7},"expires_at":"2085-05-06T07:08:09Z"}}',
        '{"token":{"user":{"id":"u"},"expires_at":"2085-05-06T07:08:09"}}',
        '{"token":{"user":{"id":"u"},"expires_at":"soon"}}',
        '{"token":{"user":{"id":"u"},"expires_at":"2085-05-06T07:08:09Z","roles":[7]}}',
        '{"token":{"user":{"id":"u"},"expires_at":"2085-05-06T07:08:09Z","OS-TRUST:trust":7}}',
    ],
)
async def test_bodies_that_are_no_token(answering: OwnIssuer, verifier: KeystoneVerifier, body: str) -> None:
    answering.documents[PATH] = web.Response(text=body)
    with pytest.raises(IdentityUnavailable):
        await verifier.verify("t")


async def test_a_token_is_asked_for_again_after_a_minute_or_when_it_ends(
    answering: OwnIssuer, verifier: KeystoneVerifier
) -> None:
    answering.documents[PATH] = token()
    assert (await verifier.verify("t")).until == NOW + UNTIL_S
    answering.documents[PATH] = token(expires_at="2085-05-06T15:07:00Z")
    assert (await verifier.verify("t")).until == NOW + 20


async def test_requests_with_one_token_share_one_call_and_others_do_not(
    answering: OwnIssuer, verifier: KeystoneVerifier
) -> None:
    answering.documents[PATH] = token()
    await asyncio.gather(*(verifier.verify(f"t{number % 2}") for number in range(20)))
    assert answering.asked == [PATH, PATH]


async def test_the_token_is_in_two_headers_and_in_no_address(answering: OwnIssuer, verifier: KeystoneVerifier) -> None:
    answering.documents[PATH] = token()
    await verifier.verify("secret-token")
    [request] = answering.requests
    assert request.headers["x-auth-token"] == request.headers["x-subject-token"] == "secret-token"
    assert "secret-token" not in str(request.url)
