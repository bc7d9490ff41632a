"""Tokens of the real OpenStack Keystone."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.cli.up.embedded import free_port
from shared.identity.auth_file import KeystoneIssuer, parse_auth_file
from shared.identity.cache import VerifiedCache
from shared.identity.configured import authenticator_of
from shared.identity.credentials import Bearer, KeystoneToken
from shared.identity.errors import IdentityUnavailable, InvalidCredential
from shared.identity.keystone import UNTIL_S, KeystoneVerifier
from tests.support.identity import Provider
from tests.support.keystone import Keystone
from tests.support.sign_in_page import opened
from tests.support.signed_in import ADMIN, auth_file


@pytest.fixture
async def verifier(keystone: Keystone) -> AsyncIterator[KeystoneVerifier]:
    made = KeystoneVerifier("ours", keystone.issuer(), timeout_s=60)
    yield made
    await made.close()


async def test_a_user_signs_in_with_a_token_of_a_project(keystone: Keystone, verifier: KeystoneVerifier) -> None:
    user = keystone.user("ada", "member")
    before = time.time()
    found = await verifier.verify(keystone.token(user))
    assert (found.principal.id, found.principal.auth, found.name) == (f"ours:{user.id}", "keystone", "ada")
    project = f"group:ours:{user.project}"
    assert found.principal.members == {f"ours:{user.id}", project, f"{project}:member", f"{project}:reader"}
    assert before + UNTIL_S <= found.until <= time.time() + UNTIL_S


async def test_an_unscoped_token_is_the_person_alone(keystone: Keystone, verifier: KeystoneVerifier) -> None:
    user = keystone.user("unscoped")
    found = await verifier.verify(keystone.token(user, None))
    assert found.principal.members == {f"ours:{user.id}"}


async def test_a_token_of_a_domain_or_the_system_has_no_project(keystone: Keystone, verifier: KeystoneVerifier) -> None:
    user = keystone.user("domain")
    keystone.grant_on_domain(user, "reader")
    found = await verifier.verify(keystone.token(user, {"domain": {"id": "default"}}))
    domain = "group:ours:domain:default"
    assert found.principal.members == {f"ours:{user.id}", domain, f"{domain}:reader"}


async def test_an_application_credential_may_do_what_its_project_and_roles_may(
    keystone: Keystone, verifier: KeystoneVerifier
) -> None:
    user = keystone.user("script", "member")
    credential = keystone.application_credential(user, "nightly", "reader")
    found = await verifier.verify(keystone.application_token(credential))
    project = f"group:ours:{user.project}"
    assert found.principal.id == f"ours:{user.id}"
    assert found.principal.members == {project, f"{project}:reader"}


async def test_an_unrestricted_application_credential_is_the_person(
    keystone: Keystone, verifier: KeystoneVerifier
) -> None:
    user = keystone.user("root-script", "member")
    credential = keystone.application_credential(user, "all", unrestricted=True)
    found = await verifier.verify(keystone.application_token(credential))
    assert f"ours:{user.id}" in found.principal.members


async def test_an_application_credential_with_access_rules_is_refused(
    keystone: Keystone, verifier: KeystoneVerifier
) -> None:
    user = keystone.user("ruled")
    rules = [{"path": "/v2.1/servers", "method": "GET", "service": "compute"}]
    credential = keystone.application_credential(user, "one-call", access_rules=rules)
    with pytest.raises(InvalidCredential):
        await verifier.verify(keystone.application_token(credential))


@pytest.mark.parametrize("impersonation", [True, False])
async def test_a_token_of_a_trust_is_refused(
    keystone: Keystone, verifier: KeystoneVerifier, impersonation: bool
) -> None:
    trustor, trustee = keystone.user(f"trustor-{impersonation}"), keystone.user(f"trustee-{impersonation}")
    token = keystone.trust_token(trustor, trustee, impersonation)
    with pytest.raises(InvalidCredential, match="a trust"):
        await verifier.verify(token)


async def test_a_revoked_token_is_refused_when_it_is_asked_for_again(
    keystone: Keystone, verifier: KeystoneVerifier
) -> None:
    token = keystone.token(keystone.user("revoked"))
    await verifier.verify(token)
    keystone.revoke(token)
    with pytest.raises(InvalidCredential, match="wrong, expired or revoked"):
        await verifier.verify(token)


async def test_a_token_ends_with_its_application_credential(keystone: Keystone, verifier: KeystoneVerifier) -> None:
    user = keystone.user("short")
    ends = datetime.now(UTC) + timedelta(seconds=10)
    credential = keystone.application_credential(user, "brief", expires_at=ends.strftime("%Y-%m-%dT%H:%M:%S.%f"))
    token = keystone.application_token(credential)
    with pytest.raises(InvalidCredential, match="wrong, expired or revoked"):
        await verified_until(verifier, token, ends.timestamp())


async def verified_until(verifier: KeystoneVerifier, token: str, ends: float) -> None:
    """Verifies a token again and again. Asserts that nobody would remember it for longer than it lives."""
    async with asyncio.timeout(60):
        while True:
            assert (await verifier.verify(token)).until <= ends + 1
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    "token", ["wrong", "gAAAAABm" + "A" * 200, "", "a b", "ünsinn", "a\r\nx-admin: yes", "x" * 9000]
)
async def test_a_wrong_token_is_refused(verifier: KeystoneVerifier, token: str) -> None:
    with pytest.raises(InvalidCredential) as refused:
        await verifier.verify(token)
    assert not token or token == "wrong" or token not in refused.value.detail


async def test_requests_with_one_token_share_one_call(keystone: Keystone, verifier: KeystoneVerifier) -> None:
    token = keystone.token(keystone.user("busy"))
    cache = VerifiedCache()
    found = await asyncio.gather(*(cache.verified(token, verifier.verify) for _ in range(50)))
    assert len({id(one) for one in found}) == 1
    direct = await asyncio.gather(*(verifier.verify(token) for _ in range(50)))
    assert len({id(one) for one in direct}) == 1


async def test_a_keystone_that_is_silent_is_unavailable(keystone: Keystone, verifier: KeystoneVerifier) -> None:
    token = keystone.token(keystone.user("patient"))
    impatient = KeystoneVerifier("ours", keystone.issuer(), timeout_s=0.5)
    with keystone.silent(), pytest.raises(IdentityUnavailable):
        await impatient.verify(token)
    await impatient.close()
    await verifier.verify(token)


async def test_a_keystone_that_is_not_there_is_unavailable() -> None:
    verifier = KeystoneVerifier("ours", KeystoneIssuer(url=f"http://127.0.0.1:{free_port()}/v3"))
    with pytest.raises(IdentityUnavailable, match="cannot check the token now"):
        await verifier.verify("any")
    await verifier.close()


async def test_each_token_goes_to_its_issuer(provider: Provider, keystone: Keystone, database_url: str) -> None:
    silent = f'[keystone.gone]\nurl = "http://127.0.0.1:{free_port()}/v3"\n'
    file = parse_auth_file("\n".join([provider.auth_file(), keystone.auth_file(), silent]).encode())
    provider.user("hedy")
    user = keystone.user("hedy")
    authenticator = authenticator_of(file, database_url)
    async with authenticator.opened():
        found = await authenticator.verified(Bearer(provider.sign_in("hedy").access))
        assert found.principal.id == "iam:hedy"
        found = await authenticator.verified(KeystoneToken(keystone.token(user)))
        assert found.principal.id == f"ours:{user.id}"
        token = keystone.token(user)
        with pytest.raises(InvalidCredential):  # a Keystone's token in the wrong header
            await authenticator.verified(Bearer(token))
        with pytest.raises(IdentityUnavailable):  # the one that is gone might know it
            await authenticator.verified(KeystoneToken("unknown"))


async def test_a_session_of_an_application_credential_gets_no_more_than_it(
    database_url: str, tmp_path: Path, keystone: Keystone
) -> None:
    user = keystone.user("ada-page")
    ledger = {"admin": [ADMIN, f"ours:{user.id}"]}
    async with opened(database_url, auth_file(tmp_path, ledger=ledger, more=keystone.auth_file())) as page:
        ways = (await page.command.get("/sign-in/ways")).json()["ways"]
        assert ways == [{"kind": "keystone", "name": "ours", "title": "ours"}, {"kind": "token"}]
        own = await page.sign_in(keystone.token(user))
        body = {"id": "by-ada", "name": "By Ada"}
        assert (await own.post("/projects/create", body)).status_code == 201
        credential = keystone.application_credential(user, "page")
        token = keystone.application_token(credential)
        browser = await page.sign_in(token)
        refused = await browser.post("/projects/create", {"id": "more", "name": "More"})
        assert refused.status_code == 403, refused.text
        assert (await browser.post("/sign-out/everywhere")).json()["code"] == "person_needed"
        made = await browser.post("/tokens/create", {"name": "more", "limits": [{"role": "admin"}]})
        assert made.json()["code"] == "person_needed"
        assert (await page.me(browser)).status_code == 200
