"""The authenticator of a service asks the issuers of its auth file."""

from shared.identity.auth_file import parse_auth_file
from shared.identity.configured import authenticator_of
from shared.identity.credentials import Bearer
from tests.support.issuers import own_issuer


async def test_a_known_token_asks_its_issuer_once(database_url: str) -> None:
    async with own_issuer() as issuer:
        file = parse_auth_file(f'[oidc.own]\nissuer = "{issuer.url}"\naudience = "hourbook"\n'.encode())
        authenticator = authenticator_of(file, database_url)
        token = Bearer(issuer.token(iat=None, exp=4_000_000_000))
        async with authenticator.opened():
            for _ in range(3):
                assert (await authenticator.verified(token)).principal.id == "own:ada"
            issuer.keys = []
            assert (await authenticator.verified(token)).principal.id == "own:ada"
            assert issuer.fetches == 1
