"""Signing in, before the framework sees a request: `scope["principal"]` says who sends it.

A request without a principal gets 401, unless its path is public. So a new route is closed until somebody opens it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from litestar import Request
from litestar.types import ASGIApp, Receive, Send

from shared.errors import HourbookError
from shared.http.guard import LIVE
from shared.http.problems import refuse
from shared.identity.authenticator import Authenticator
from shared.identity.principals import Principal

# In the OpenAPI document: an operation that needs no credential.
ANYBODY: list[dict[str, list[str]]] = [{}]
PUBLIC = frozenset({"/health", LIVE, "/schema"})
PUBLIC_BELOW = ("/schema/",)


class SignInMiddleware:
    """Puts the principal into the scope. `public` are more paths that need none; one that ends with a slash stands for
    all paths below it. `refused` is told the code of each refusal."""

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        public: Iterable[str] = (),
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._app, self._authenticator, self._refused = app, authenticator, refused
        self._public = PUBLIC | {path for path in public if not path.endswith("/") or path == "/"}
        self._below = (*PUBLIC_BELOW, *(path for path in public if path.endswith("/") and path != "/"))

    def __call__(self, scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        """A plain function: a request whose principal is known passes without one coroutine more."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        try:
            principal = self._authenticator.known(scope)
        except HourbookError as error:
            return self._without(scope, receive, send, error)
        if principal is None:
            return self._verified(scope, receive, send)
        scope["principal"] = principal
        return self._app(scope, receive, send)

    async def _verified(self, scope: Any, receive: Receive, send: Send) -> None:
        try:
            scope["principal"] = await self._authenticator.principal(scope)
        except HourbookError as error:
            await self._without(scope, receive, send, error)
        else:
            await self._app(scope, receive, send)

    def _without(self, scope: Any, receive: Receive, send: Send, error: HourbookError) -> Awaitable[None]:
        """Passes what needs no principal: public paths, and OPTIONS, which only says the methods of a path."""
        public = scope["path"] in self._public or scope["path"].startswith(self._below)
        if public or scope["method"] == "OPTIONS":
            return self._app(scope, receive, send)
        self._refused(error.code)
        return refuse(error, send)


def principal_in(request: Request[Any, Any, Any]) -> Principal:
    """The principal of a request where principals sign in. It is always there, but for public paths."""
    principal: Principal = request.scope["principal"]  # type: ignore[typeddict-item]
    return principal
