"""The keys of an issuer: how they are found, kept, refreshed, and what a flood of unknown ones costs."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from services.cli.up.embedded import free_port
from shared.identity.errors import IdentityUnavailable, InvalidCredential
from shared.identity.fetching import BODY_MAX
from shared.identity.jwks import AGAIN_FAILED_S, AGAIN_S, FRESH_S, OLD_S, STALE_S
from shared.identity.oidc import OidcVerifier
from tests.support.issuers import EC, OTHER_RSA, RSA, Clock, OwnIssuer, own_issuer


@pytest.fixture
async def issuer() -> AsyncIterator[OwnIssuer]:
    async with own_issuer() as made:
        yield made


@pytest.fixture
def passing() -> Clock:
    """Seconds that pass when a test says so."""
    return Clock(1000.0)


@pytest.fixture
async def verifier(issuer: OwnIssuer, passing: Clock) -> AsyncIterator[OidcVerifier]:
    made = OidcVerifier("egi", issuer.settings(), Clock(), passing)
    yield made
    await made.close()


async def outcome(verifier: OidcVerifier, token: str) -> type:
    try:
        await verifier.verify(token)
    except (InvalidCredential, IdentityUnavailable) as error:
        return type(error)
    return str


async def test_first_requests_at_the_same_time_share_one_fetch(issuer: OwnIssuer, verifier: OidcVerifier) -> None:
    await asyncio.gather(*(verifier.verify(issuer.token(jti=str(number))) for number in range(30)))
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_a_flood_of_unknown_keys_makes_one_fetch_in_a_while(
    issuer: OwnIssuer, verifier: OidcVerifier, passing: Clock
) -> None:
    await verifier.verify(issuer.token())
    for fetches in (2, 3, 4):
        passing.now += AGAIN_S
        flood = [issuer.token(header={"kid": f"k{number}"}) for number in range(20)]
        for _ in range(2):
            found = await asyncio.gather(*(outcome(verifier, token) for token in flood))
            assert set(found) == {InvalidCredential}
        passing.now += AGAIN_S - 0.01
        assert await outcome(verifier, flood[0]) is InvalidCredential
        assert issuer.fetches == fetches
        await verifier.verify(issuer.token())


async def test_a_new_key_is_found_by_the_first_token_that_it_signs(
    issuer: OwnIssuer, verifier: OidcVerifier, passing: Clock
) -> None:
    await verifier.verify(issuer.token())
    issuer.keys = [OTHER_RSA.as_dict(private=False)]
    passing.now += AGAIN_S
    await verifier.verify(issuer.token(OTHER_RSA))
    assert issuer.fetches == 2
    assert await outcome(verifier, issuer.token()) is InvalidCredential  # the old key is withdrawn


async def test_keys_are_refreshed_behind_the_requests(
    issuer: OwnIssuer, verifier: OidcVerifier, passing: Clock
) -> None:
    await verifier.verify(issuer.token())
    issuer.keys = [EC.as_dict(private=False)]
    passing.now += FRESH_S - 0.01
    await verifier.verify(issuer.token())
    assert issuer.fetches == 1
    passing.now += 0.01
    await verifier.verify(issuer.token())  # with the old key: it does not wait
    async with asyncio.timeout(5):
        while issuer.fetches < 2 or await outcome(verifier, issuer.token()) is not InvalidCredential:
            await asyncio.sleep(0.01)
    assert issuer.fetches == 2


async def test_a_key_that_was_withdrawn_long_ago_is_not_used_once_more(
    issuer: OwnIssuer, verifier: OidcVerifier, passing: Clock
) -> None:
    await verifier.verify(issuer.token())
    issuer.keys = [EC.as_dict(private=False)]
    passing.now += OLD_S
    assert await outcome(verifier, issuer.token()) is InvalidCredential


async def test_known_keys_go_on_for_a_day_without_the_provider(
    issuer: OwnIssuer, verifier: OidcVerifier, passing: Clock
) -> None:
    await verifier.verify(issuer.token())
    issuer.documents["/.well-known/openid-configuration"] = web.Response(status=503)
    passing.now += STALE_S - 0.01
    await verifier.verify(issuer.token())
    assert await outcome(verifier, issuer.token(header={"kid": "new"})) is IdentityUnavailable
    passing.now += 0.02
    assert await outcome(verifier, issuer.token()) is IdentityUnavailable


async def test_a_provider_that_fails_is_asked_again_soon_but_not_by_each_request(
    issuer: OwnIssuer, verifier: OidcVerifier, passing: Clock
) -> None:
    failing = "/.well-known/openid-configuration"
    issuer.documents[failing] = web.Response(status=500)
    for _ in range(5):
        found = await asyncio.gather(*(outcome(verifier, issuer.token()) for _ in range(10)))
        assert set(found) == {IdentityUnavailable}
    assert issuer.asked == [failing]
    del issuer.documents[failing]
    passing.now += AGAIN_FAILED_S
    await verifier.verify(issuer.token())


def wrong_documents(issuer: OwnIssuer, case: str) -> dict[str, web.Response]:
    found, keys = "/.well-known/openid-configuration", "/keys"
    right = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
    return {
        "another issuer": {found: web.json_response({**right, "issuer": f"{issuer.url}/"})},
        "no issuer": {found: web.json_response({"jwks_uri": right["jwks_uri"]})},
        "no JSON": {found: web.Response(text="<html>")},
        "no keys": {keys: web.json_response({"jwks": []})},
        "keys that are no list": {keys: web.json_response({"keys": {}})},
        "a redirect": {found: web.Response(status=302, headers={"location": f"{issuer.url}/elsewhere"})},
        "a redirect of the keys": {keys: web.Response(status=307, headers={"location": f"{issuer.url}/elsewhere"})},
        "too long": {keys: web.Response(body=b" " * (BODY_MAX + 1))},
        "a file": {found: web.json_response({**right, "jwks_uri": "file:///etc/passwd"})},
    }[case]


@pytest.mark.parametrize(
    "case",
    [
        "another issuer",
        "no issuer",
        "no JSON",
        "no keys",
        "keys that are no list",
        "a redirect",
        "a redirect of the keys",
        "too long",
        "a file",
    ],
)
async def test_wrong_documents_make_the_issuer_unavailable(
    issuer: OwnIssuer, verifier: OidcVerifier, case: str, caplog: Any
) -> None:
    issuer.documents.update(wrong_documents(issuer, case))
    with pytest.raises(IdentityUnavailable) as error:
        await verifier.verify(issuer.token())
    assert error.value.detail == "the keys of the issuer egi cannot be fetched now"  # the log has more
    assert "issuer egi: its keys could not be fetched: " in caplog.text
    assert "/elsewhere" not in issuer.asked


async def test_a_provider_that_is_not_there_is_unavailable(issuer: OwnIssuer) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    verifier = OidcVerifier("egi", issuer.settings(issuer=url), Clock())
    assert await outcome(verifier, issuer.token(iss=url)) is IdentityUnavailable
    await verifier.close()


async def test_the_certificate_of_an_issuer_is_checked(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    files = {}
    for name, made in (("right", authority), ("wrong", stranger)):
        files[name] = str(tmp_path / f"{name}.pem")
        made.cert_pem.write_to_path(files[name])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with own_issuer(tls) as issuer:
        for ca_file, expected in (
            (files["right"], str),
            (files["wrong"], IdentityUnavailable),
            (None, IdentityUnavailable),
        ):
            verifier = OidcVerifier("egi", issuer.settings(ca_file=ca_file), Clock())
            assert await outcome(verifier, issuer.token()) is expected
            await verifier.close()


async def test_the_keys_of_an_https_issuer_come_by_https(tmp_path: Path) -> None:
    authority, file = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with own_issuer(tls) as issuer, own_issuer() as plain:
        issuer.discovery["jwks_uri"] = f"{plain.url}/keys"
        verifier = OidcVerifier("egi", issuer.settings(ca_file=str(file)), Clock())
        assert await outcome(verifier, issuer.token()) is IdentityUnavailable
        assert plain.asked == []
        await verifier.close()


async def test_a_key_that_is_listed_a_hundred_times_is_one(issuer: OwnIssuer, verifier: OidcVerifier) -> None:
    issuer.keys = [RSA.as_dict(private=False)] * 100
    await verifier.verify(issuer.token())
