"""An issuer of our own making: its documents, keys and tokens can be as wrong as a test wants. It answers real HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any

from aiohttp import web
from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from services.cli.up.embedded import free_port
from shared.identity.auth_file import OidcIssuer
from shared.identity.jws import StrictRegistry

NOW = 3_640_000_000  # in 2085
AUDIENCE = "hourbook"
EVERY = StrictRegistry(JWSRegistry.algorithms)
RSA, OTHER_RSA = (RSAKey.generate_key(2048, {"kid": kid}) for kid in ("rsa", "other"))
EC = ECKey.generate_key("P-256", {"kid": "ec"})
OKP = OKPKey.generate_key("Ed25519", {"kid": "okp"})


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def claims_of(issuer: str, **changed: Any) -> dict[str, Any]:
    """The claims of an access token that is right at NOW. A claim that is changed to None is left out."""
    right = {"iss": issuer, "aud": AUDIENCE, "sub": "ada", "iat": NOW - 60, "exp": NOW + 600, "scope": "openid"}
    return {name: value for name, value in {**right, **changed}.items() if value is not None}


def signed(claims: Mapping[str, Any] | bytes, key: Key = RSA, alg: str = "RS256", **header: Any) -> str:
    """A token. A member of the header that is None is left out; `claims` may be any bytes."""
    head = {name: value for name, value in {"alg": alg, "kid": key.kid, **header}.items() if value is not None}
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return jws.serialize_compact(head, payload, key, registry=EVERY)


def segment(value: Any) -> str:
    """A part of a token: base64url of bytes, of a text, or of a value as JSON."""
    text = (
        value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else json.dumps(value).encode()
    )
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


class OwnIssuer:
    """An issuer. `keys` are the members of its JWKS. `asked` are the paths of its `requests`, in their order. `forms`
    is what was posted."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: list[Any] = [key.as_dict(private=False) for key in (RSA, EC, OKP)]
        self.documents: dict[str, web.Response] = {}
        self.requests: list[web.Request] = []
        self.forms: list[dict[str, str]] = []
        self.discovery: dict[str, Any] = {"issuer": url, "jwks_uri": f"{url}/keys"}

    @property
    def asked(self) -> list[str]:
        return [request.path for request in self.requests]

    @property
    def fetches(self) -> int:
        """How often its keys were fetched."""
        return self.asked.count("/keys")

    def settings(self, **changed: Any) -> OidcIssuer:
        """What the auth file says of it."""
        allowed = ("RS256", "ES256", "PS256", "EdDSA")
        return OidcIssuer(**{"issuer": self.url, "audience": AUDIENCE, "algorithms": allowed, **changed})

    def token(self, key: Key = RSA, alg: str = "RS256", header: Mapping[str, Any] = {}, **claims: Any) -> str:
        """An access token that is right at NOW, but for what is changed."""
        return signed(claims_of(self.url, **claims), key, alg, **header)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if request.method == "POST":
            self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        if request.path in self.documents:
            kept = self.documents[request.path]
            return web.Response(status=kept.status, body=kept.body, headers=kept.headers)
        if request.path == "/keys":
            return web.json_response({"keys": self.keys})
        if request.path == "/.well-known/openid-configuration":
            return web.json_response(self.discovery)
        return web.Response(status=404)


@asynccontextmanager
async def own_issuer(tls: SSLContext | None = None) -> AsyncIterator[OwnIssuer]:
    port = free_port()
    issuer = OwnIssuer(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", issuer.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    try:
        yield issuer
    finally:
        await runner.cleanup()
