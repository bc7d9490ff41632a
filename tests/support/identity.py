"""Real issuers for tests: an OpenID Connect provider (Canaille, by pytest-iam), run in this process.

Services that run as other processes reach it by its address, too. It belongs to the whole session: give users, groups
and clients names of their own.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import wsgiref.simple_server
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import JWKRegistry
from pytest_iam import Server

from shared.identity.auth_file import OidcIssuer

AUDIENCE = "hourbook-api"
ALGORITHM = "RS256"  # Canaille signs with the strongest that a key allows; most providers sign with this
REDIRECT = "http://127.0.0.1:8080/signed-in"


class Tokens(NamedTuple):
    access: str
    id: str
    refresh: str


class Provider:
    """An OpenID Connect provider. `url` is its issuer.

    `user` makes users with groups, `client` makes clients, and `sign_in` gets a user's tokens by the authorization code
    flow over HTTP.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url.rstrip("/")
        self.secrets: dict[str, str] = {}

    def issuer(self, **changed: Any) -> OidcIssuer:
        """What the auth file says of it: the audience is AUDIENCE, with no client of the page."""
        return OidcIssuer(**{"issuer": self.url, "audience": AUDIENCE, **changed})

    def auth_file(self, name: str = "iam", *lines: str) -> str:
        """The lines of an auth file that name it. `lines` go before them: `everyone`, or a `[[ledger]]`."""
        return "\n".join([*lines, f"[oidc.{name}]", f'issuer = "{self.url}"', f'audience = "{AUDIENCE}"', ""])

    def user(self, name: str, *groups: str) -> str:
        """Makes a user with a password (the name, twice), who is in these groups alone; the groups are made as well.
        A user of that name, from another test, is the same one. Returns the subject."""
        with self.server.app.app_context():
            backend, models = self.server.backend, self.server.models
            user = backend.get(models.User, user_name=name)
            if user is None:
                user = models.User(
                    user_name=name,
                    formatted_name=name.title(),
                    given_name=name.title(),
                    family_name="Test",
                    emails=[f"{name}@example.org"],
                    password=name * 2,
                )
                backend.save(user)
            for group in [*user.groups]:
                if group.display_name not in groups:
                    group.members = [member for member in group.members if member != user]
                    backend.save(group)
            for display_name in groups:
                group = backend.get(models.Group, display_name=display_name)
                if group is None:
                    group = models.Group(display_name=display_name, members=[])
                if user not in group.members:
                    group.members = [*group.members, user]
                    backend.save(group)
        return name

    def client(self, client_id: str, audience: str = AUDIENCE, redirect: str = REDIRECT) -> str:
        """Makes a client whose tokens have this audience. Its secret is in `secrets`. Returns its id."""
        if client_id in self.secrets:
            return client_id
        with self.server.app.app_context():
            client = self._saved(client_id, redirect)
            client.audience = [client if audience == client_id else self._saved(audience, redirect)]
            self.server.backend.save(client)
        return client_id

    def sign_in(self, user: str, client_id: str = "cli", scope: str = "openid profile email groups") -> Tokens:
        """The tokens that a user gets by the authorization code flow (PKCE) over HTTP."""
        self.client(client_id)
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        digest = hashlib.sha256(verifier.encode()).digest()
        with httpx.Client(base_url=self.url, auth=(client_id, self.secrets[client_id])) as http:
            question = {
                "response_type": "code",
                "client_id": client_id,
                "redirect_uri": REDIRECT,
                "scope": scope,
                "nonce": nonce,
                "state": "s",
                "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
                "code_challenge_method": "S256",
            }
            code = self._code(http, user, client_id, question)
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
            answer = http.post("/oauth/token", data={**form, "code_verifier": verifier})
        assert answer.status_code == 200, answer.text
        tokens = answer.json()
        return Tokens(tokens["access_token"], tokens["id_token"], tokens.get("refresh_token", ""))

    def client_token(self, client_id: str = "robot") -> str:
        """The access token of a client itself. Canaille's are opaque: no JSON Web Tokens."""
        self.client(client_id)
        with httpx.Client(base_url=self.url, auth=(client_id, self.secrets[client_id])) as http:
            answer = http.post("/oauth/token", data={"grant_type": "client_credentials", "scope": "openid"})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def rotate(self, keep: bool = True) -> str:
        """Signs with a new key from now on. Returns its kid. `keep`: tokens that the old keys signed stay valid."""
        key = JWKRegistry.generate_key("RSA", 2048, auto_kid=True)
        settings = self.server.app.config["CANAILLE_OIDC"]
        settings["INACTIVE_JWKS"] = [*settings["ACTIVE_JWKS"], *(settings["INACTIVE_JWKS"] or [])] if keep else []
        settings["ACTIVE_JWKS"] = [key.as_dict(private=True, alg=ALGORITHM)]
        return str(key.kid)

    def stop(self) -> None:
        """Nobody answers at its address until `start`."""
        self.server.httpd.shutdown()
        self.server.httpd.server_close()

    def start(self) -> None:
        server = self.server
        server.httpd = wsgiref.simple_server.make_server(
            "localhost", server.port, server.app, handler_class=server._make_request_handler()
        )
        threading.Thread(target=server.httpd.serve_forever, daemon=True).start()

    def _saved(self, client_id: str, redirect: str) -> Any:
        """The client; a new one if there is none. In the app's context."""
        backend, models = self.server.backend, self.server.models
        found = backend.get(models.Client, client_id=client_id)
        if found is not None:
            return found
        self.secrets[client_id] = secrets.token_urlsafe(16)
        client = models.Client(
            client_id=client_id,
            client_secret=self.secrets[client_id],
            client_name=client_id,
            client_uri="http://127.0.0.1",
            redirect_uris=[redirect],
            post_logout_redirect_uris=[redirect],
            scope=["openid", "profile", "email", "groups"],
            grant_types=["authorization_code", "refresh_token", "client_credentials", "password"],
            response_types=["code"],
            token_endpoint_auth_method="client_secret_basic",
        )
        backend.save(client)
        return client

    def _code(self, http: httpx.Client, user: str, client_id: str, question: dict[str, str]) -> str:
        models, backend = self.server.models, self.server.backend
        with self.server.app.app_context():
            person = backend.get(models.User, user_name=user)
            self.server.consent(person, backend.get(models.Client, client_id=client_id))
        self.server.login(person)
        try:
            answer = http.get("/oauth/authorize", params=question)
        finally:
            self.server.logout()
        assert answer.status_code == 302, answer.text
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


@pytest.fixture(scope="session")
def iam_configuration(iam_configuration: dict[str, Any]) -> dict[str, Any]:
    """The configuration of pytest-iam's server, with a key that says its algorithm."""
    for key in iam_configuration["CANAILLE_OIDC"]["ACTIVE_JWKS"]:
        key["alg"] = ALGORITHM
    return iam_configuration


@pytest.fixture(scope="session")
def provider(iam_server: Server) -> Provider:
    """An OpenID Connect provider for the whole session. A test that stops it starts it again."""
    return Provider(iam_server)
