"""Signing in and out on the page. A session begins with an issuer's word, by the code flow, or with a token."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode, urlsplit

import msgspec
from litestar import Controller, MediaType, Response, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Meta

from services.command.routes.headers import AnyRequest
from services.command.routes.requests import SignInRequest
from services.command.routes.sign_in_answers import (
    NO_ATTEMPT,
    NO_SESSION,
    answered,
    attempt_cookie,
    gone_to,
    session_cookie,
    shown,
)
from services.command.routes.submit import Parts, parts_of, principal_of
from services.command.sessions import Sessions
from shared.errors import UnknownId
from shared.http.answers import ANSWERS, ERROR_PAGES, Answers
from shared.http.sign_in import ANYBODY
from shared.identity import attempts
from shared.identity.attempts import Answer, Attempt, attempt_in, new_attempt
from shared.identity.auth_file import AuthFile
from shared.identity.authenticator import OWN_PREFIX, Authenticator
from shared.identity.credentials import Bearer, KeystoneToken, Token, session_in
from shared.identity.errors import PersonNeeded, PublicUrlNeeded, SignInNotSetUp
from shared.identity.principals import Auth
from shared.identity.verifying import Verified

if TYPE_CHECKING:  # where nobody signs in, the service starts sooner without it
    from shared.identity.code_flow import CodeFlow

log = logging.getLogger(__name__)

HERE = "here"  # in the address of an attempt that was sent to HOURBOOK_PUBLIC_URL once: never twice


class Way(msgspec.Struct, frozen=True, omit_defaults=True):
    """A way to sign in on the page."""

    kind: Annotated[str, Meta(description="`oidc`: go to `href`. `token`, `keystone`: POST a token to /sign-in/token.")]
    name: Annotated[str | None, Meta(description="The name of the issuer in the auth file. Not for `token`.")] = None
    title: Annotated[str | None, Meta(description="What the page calls it. Not for `token`.")] = None
    href: Annotated[str | None, Meta(description="Where to go. Only for `oidc`; `?to=/path` says where to go on.")] = (
        None
    )


class SignInWays(msgspec.Struct, frozen=True):
    """How people sign in here."""

    open: Annotated[bool, Meta(description="Nobody signs in: whoever reaches the page may do everything.")]
    ways: Annotated[list[Way], Meta(description="What the page offers; empty where nobody signs in.")]


class SignedIn(msgspec.Struct, frozen=True):
    """A session has begun. Its cookie is in the answer."""

    id: Annotated[str, Meta(description="Who signed in: the actor of events.")]
    auth: Annotated[Auth | None, Meta(description="How it was proven: `oidc`, `keystone` or `token`.")]
    expires: Annotated[datetime, Meta(description="When the session ends at the latest. It ends with its token.")]


class SignedOut(msgspec.Struct, frozen=True):
    """No session is left."""

    ended: Annotated[int, Meta(description="How many sessions have ended.")]
    at_issuer: Annotated[
        str | None,
        Meta(description="Where to go in order to sign out at the issuer, too; null: there is no such address."),
    ]


IssuerInPath = Annotated[str, PathParameter(description="The name of an issuer in the auth file.")]
To = Annotated[str, QueryParameter(description="The path of the page to go on with: a path of this address.")]
Here = Annotated[str | None, QueryParameter(description="Set by the service itself.")]
Code = Annotated[str | None, QueryParameter(description="What the issuer gives; it is good for one exchange.")]
State = Annotated[
    str | None, QueryParameter(name="state", description="The attempt, as the address at the issuer had it.")
]
Iss = Annotated[str | None, QueryParameter(description="The issuer (RFC 9207).")]
Error = Annotated[str | None, QueryParameter(description="Why the issuer gives no code.")]
GONE = "The browser goes on elsewhere. The body is empty."
EMPTY = {ANSWERS: Answers((), ("text/plain",), errors=(409,)), ERROR_PAGES: True}


class SignIn(Controller):
    """For the page. A program sends its token with each request, and needs no session."""

    path = "/sign-in"
    security = ANYBODY

    @get("/ways", summary="The ways to sign in", response_description="What the page offers.")
    async def ways(self, request: AnyRequest) -> Response[SignInWays]:
        """How people sign in on the page."""
        authenticator = parts_of(request).authenticator
        if authenticator is None:
            return answered(SignInWays(True, []))
        return answered(SignInWays(False, ways_of(authenticator.file)))

    @get("/{issuer:str}", status_code=303, summary="Sign in with an issuer", response_description=GONE, opt=EMPTY)
    async def start(self, request: AnyRequest, issuer: IssuerInPath, to: To = "/", here: Here = None) -> Response[Any]:
        """For a browser, not for a program. Sends it to the issuer (authorization code flow, PKCE, state, nonce). When
        the person has signed in there, the browser comes back, gets a session, and goes on with `to`."""
        return await shown(request, partial(_start, request, issuer, to, here is not None), "/")

    @get(
        "/{issuer:str}/callback",
        status_code=303,
        summary="Come back from an issuer",
        response_description=GONE,
        opt=EMPTY,
    )
    async def callback(
        self,
        request: AnyRequest,
        issuer: IssuerInPath,
        code: Code = None,
        begun: State = None,
        iss: Iss = None,
        error: Error = None,
    ) -> Response[Any]:
        """Where an issuer sends the browser back. Only the browser that began the attempt gets a session."""
        return await shown(
            request, partial(_come_back, request, issuer, begun, Answer(code, error, iss)), f"/sign-in/{issuer}"
        )

    @post("/token", status_code=200, summary="Sign in with a token", response_description="A session has begun.")
    async def token(self, request: AnyRequest, data: JSONBody[SignInRequest]) -> Response[SignedIn]:
        """Begins a session for whoever has the token. The session may do what the token may at each moment, and ends
        with it. 401 for a token that is not valid. There is no bound of attempts: nobody guesses 256 random bits."""
        parts = parts_of(request)
        if parts.authenticator is None:
            raise SignInNotSetUp
        token = credential_of(data.token, parts.authenticator.file)
        verified = await parts.authenticator.verified(token)
        return await _begin(request, verified, token)


class SignOut(Controller):
    path = "/sign-out"

    @post("/", status_code=200, security=ANYBODY, summary="Sign out", response_description="The session has ended.")
    async def here(self, request: AnyRequest) -> Response[SignedOut]:
        """Ends the session of the cookie, in every process within five seconds, and removes the cookie. There need not
        be a session any more."""
        authenticator, sessions = signing_in(request)
        secret = session_in(request.scope["headers"])
        person = None if secret is None else await sessions.end(secret)
        if person is not None:
            authenticator.forget()
            log.info("%s signed out", person)
        flow = parts_of(request).code_flows.get((person or "").partition(":")[0])
        at_issuer = None if flow is None else await flow.sign_out_address(f"{parts_of(request).public_url}/")
        return answered(SignedOut(int(person is not None), at_issuer), NO_SESSION)

    @post("/everywhere", status_code=200, summary="Sign out everywhere", response_description="No session is left.")
    async def everywhere(self, request: AnyRequest) -> Response[SignedOut]:
        """Ends all your sessions, in every browser, within five seconds."""
        authenticator, sessions = signing_in(request)
        principal = principal_of(request)
        if principal.id not in principal.members:
            raise PersonNeeded("an application credential ends no sessions of its user; sign in as a person")
        ended = await sessions.end_all(principal.id)
        authenticator.forget()
        log.info("%s signed out everywhere: %d sessions", principal.id, ended)
        return answered(SignedOut(ended, None), NO_SESSION)


def ways_of(file: AuthFile) -> list[Way]:
    """What the page offers. Nothing of it is secret."""
    ways = [
        Way("oidc", name, issuer.title or name, f"/sign-in/{name}")
        for name, issuer in file.oidc.items()
        if issuer.client_id
    ]
    ways += [Way("keystone", name, issuer.title or name) for name, issuer in file.keystone.items()]
    return [*ways, Way("token")]


def credential_of(token: str, file: AuthFile) -> Token:
    """The credential that somebody typed. A token of Keystone names no issuer."""
    from shared.identity.jws import unchecked_issuer  # as above

    token = token.strip()
    if file.keystone and not token.startswith(OWN_PREFIX) and unchecked_issuer(token) is None:
        return KeystoneToken(token)
    return Bearer(token)


def signing_in(request: AnyRequest) -> tuple[Authenticator, Sessions]:
    """Raises SignInNotSetUp where nobody signs in."""
    parts = parts_of(request)
    if parts.authenticator is None or parts.sessions is None:
        raise SignInNotSetUp
    return parts.authenticator, parts.sessions


async def _start(request: AnyRequest, issuer: str, to: str, is_here: bool) -> Response[Any]:
    parts = parts_of(request)
    flow, attempt = flow_of(parts, issuer), new_attempt(issuer, to)
    if not is_here and request.headers.get("Host", "").lower() != urlsplit(parts.public_url).netloc.lower():
        # The issuer sends the browser back to the public address, and the cookie of another one would not come along.
        return gone_to(f"{parts.public_url}/sign-in/{issuer}?{urlencode({'to': to, HERE: '1'})}")
    return gone_to(await flow.address(attempt), attempt_cookie(attempt))


async def _come_back(request: AnyRequest, issuer: str, state: str | None, answer: Answer) -> Response[Any]:
    flow = flow_of(parts_of(request), issuer)
    attempt = attempt_in(request.cookies.get(attempts.COOKIE), issuer, state)
    finished = await shown(request, partial(_finish, request, flow, attempt, answer), f"/sign-in/{issuer}")
    finished.cookies.append(NO_ATTEMPT)  # it is used up, whatever became of it
    return finished


async def _finish(request: AnyRequest, flow: CodeFlow, attempt: Attempt, answer: Answer) -> Response[Any]:
    begun = await _begin(request, await flow.person(attempt, answer), None)
    begun.status_code, begun.content, begun.media_type = 303, b"", MediaType.TEXT
    begun.headers["Location"] = parts_of(request).public_url + attempt.target
    return begun


async def _begin(request: AnyRequest, verified: Verified, token: Token | None) -> Response[Any]:
    """Begins a session, and answers with its cookie."""
    authenticator, sessions = signing_in(request)
    session = await sessions.begin(verified, token, session_in(request.scope["headers"]))
    authenticator.forget()
    principal = verified.principal
    log.info("%s signed in on the page", principal.id)
    return answered(SignedIn(principal.id, principal.auth, session.expires), session_cookie(session))


def flow_of(parts: Parts, issuer: str) -> CodeFlow:
    """Raises UnknownId for an issuer with which nobody signs in on the page, PublicUrlNeeded, SignInNotSetUp."""
    if parts.authenticator is None:
        raise SignInNotSetUp
    flow = parts.code_flows.get(issuer)
    if flow is None:
        raise UnknownId("issuer", "issuer", issuer)
    if not parts.public_url:
        raise PublicUrlNeeded
    return flow
