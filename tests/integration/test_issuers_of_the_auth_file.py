"""The issuers of an auth file, all at once: each token goes to the issuer that made it."""

from collections.abc import AsyncIterator

import pytest

from services.cli.up.embedded import free_port
from shared.identity.auth_file import parse_auth_file
from shared.identity.authenticator import Authenticator
from shared.identity.configured import authenticator_of
from shared.identity.credentials import Bearer, Credential, KeystoneToken
from shared.identity.errors import IdentityUnavailable, InvalidCredential
from tests.support.identity import Provider
from tests.support.issuers import OwnIssuer, own_issuer
from tests.support.keystone import Keystone


@pytest.fixture
async def own() -> AsyncIterator[OwnIssuer]:
    async with own_issuer() as made:
        yield made


def lines(own: OwnIssuer, *more: str) -> bytes:
    return "\n".join(["[oidc.own]", f'issuer = "{own.url}"', 'audience = "hourbook"', *more]).encode()


async def id_of(authenticator: Authenticator, credential: Credential) -> str:
    return (await authenticator.verified(credential)).principal.id


async def test_each_token_goes_to_its_issuer(
    provider: Provider, keystone: Keystone, own: OwnIssuer, database_url: str
) -> None:
    silent = f'[keystone.gone]\nurl = "http://127.0.0.1:{free_port()}/v3"\n'
    file = parse_auth_file(lines(own, provider.auth_file(), keystone.auth_file(), silent))
    provider.user("hedy")
    user = keystone.user("hedy")
    authenticator = authenticator_of(file, database_url)
    async with authenticator.opened():
        assert await id_of(authenticator, Bearer(provider.sign_in("hedy").access)) == "iam:hedy"
        assert await id_of(authenticator, KeystoneToken(keystone.token(user))) == f"ours:{user.id}"
        with pytest.raises(InvalidCredential):  # a Keystone's token in the wrong header
            await id_of(authenticator, Bearer(keystone.token(user)))
        with pytest.raises(IdentityUnavailable):  # the one that is gone might know it
            await id_of(authenticator, KeystoneToken("unknown"))


async def test_a_known_token_asks_its_issuer_once(own: OwnIssuer, database_url: str) -> None:
    authenticator = authenticator_of(parse_auth_file(lines(own)), database_url)
    token = own.token(iat=None, exp=4_000_000_000)
    async with authenticator.opened():
        for _ in range(3):
            assert await id_of(authenticator, Bearer(token)) == "own:ada"
        assert own.fetches == 1
        own.keys = []
        assert await id_of(authenticator, Bearer(token)) == "own:ada"
