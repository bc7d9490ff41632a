"""Access tokens of a real provider (Canaille), over HTTP."""

from collections.abc import AsyncIterator

import pytest

from shared.identity.errors import IdentityUnavailable, InvalidCredential
from shared.identity.jwks import AGAIN_FAILED_S, AGAIN_S, STALE_S
from shared.identity.oidc import OidcVerifier, OidcVerifiers
from tests.support.identity import Provider


class Clock:
    """Seconds that only grow; a test adds some."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def verifier(provider: Provider, clock: Clock) -> AsyncIterator[OidcVerifier]:
    made = OidcVerifier("iam", provider.issuer(), monotonic=clock)
    yield made
    await made.close()


async def test_a_person_signs_in_by_the_authorization_code_flow(provider: Provider, verifier: OidcVerifier) -> None:
    provider.user("ada", "ops", "physics")
    found = await verifier.verify(provider.sign_in("ada").access)
    assert (found.principal.id, found.principal.auth) == ("iam:ada", "oidc")
    assert found.principal.members == {"iam:ada", "group:iam:ops", "group:iam:physics"}
    assert (found.name, found.email) == ("Ada", "ada@example.org")
    assert not found.principal.trusted


async def test_a_user_whom_another_test_made_is_in_the_groups_of_this_one(
    provider: Provider, verifier: OidcVerifier
) -> None:
    provider.user("twice", "ops")
    provider.user("twice", "physics")
    found = await verifier.verify(provider.sign_in("twice").access)
    assert found.principal.members == {"iam:twice", "group:iam:physics"}


async def test_the_id_token_of_the_same_person_is_no_access_token(provider: Provider, verifier: OidcVerifier) -> None:
    provider.user("grace")
    with pytest.raises(InvalidCredential, match="may be an ID token"):
        await verifier.verify(provider.sign_in("grace").id)


async def test_a_token_for_another_audience_is_refused(provider: Provider, verifier: OidcVerifier) -> None:
    provider.user("emmy")
    provider.client("other-cli", audience="other-api")
    with pytest.raises(InvalidCredential, match="audience"):
        await verifier.verify(provider.sign_in("emmy", "other-cli").access)


async def test_an_opaque_token_is_refused_and_asks_nobody(provider: Provider, verifier: OidcVerifier) -> None:
    token = provider.client_token()
    with pytest.raises(InvalidCredential, match="not a signed JSON Web Token"):
        await verifier.verify(token)


async def test_a_new_key_is_found_and_the_old_one_goes_on_until_it_is_withdrawn(
    provider: Provider, verifier: OidcVerifier, clock: Clock
) -> None:
    provider.user("lise")
    old = provider.sign_in("lise").access
    await verifier.verify(old)
    clock.now += AGAIN_S
    provider.rotate()
    new = provider.sign_in("lise").access
    assert (await verifier.verify(new)).principal.id == "iam:lise"
    await verifier.verify(old)
    provider.rotate(keep=False)
    clock.now += STALE_S
    with pytest.raises(InvalidCredential, match="no key that fits"):
        await verifier.verify(old)


async def test_while_the_provider_is_down_known_keys_go_on_and_an_unknown_one_is_unavailable(
    provider: Provider, verifier: OidcVerifier, clock: Clock
) -> None:
    provider.user("mary")
    known = provider.sign_in("mary").access
    await verifier.verify(known)
    provider.rotate()
    unknown = provider.sign_in("mary").access
    clock.now += AGAIN_S
    provider.stop()
    try:
        for _ in range(2):
            with pytest.raises(IdentityUnavailable):
                await verifier.verify(unknown)
            await verifier.verify(known)
        clock.now += STALE_S
        with pytest.raises(IdentityUnavailable):
            await verifier.verify(known)
    finally:
        provider.start()
    clock.now += AGAIN_FAILED_S
    await verifier.verify(unknown)


async def test_the_issuer_of_a_token_selects_who_verifies_it(provider: Provider) -> None:
    provider.user("rosa")
    token = provider.sign_in("rosa").access
    other = provider.issuer(issuer="http://127.0.0.1:9/other")
    verifiers = OidcVerifiers({"other": other, "iam": provider.issuer()})
    assert (await verifiers.verify(token)).principal.id == "iam:rosa"
    await verifiers.close()
    strangers = OidcVerifiers({"other": other})
    with pytest.raises(InvalidCredential, match="not a signed token of an issuer that is trusted"):
        await strangers.verify(token)
