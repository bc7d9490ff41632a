"""The ASGI application of the command and query services: /live, /metrics, OpenAPI page, problem documents, counts.

It keeps an encoded slash (%2F) of a path inside its segment. uvicorn decodes %2F before the framework looks for the
route, so `/accounts/team%2Fada/usage` would match another route than the client meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote

from litestar import Litestar, MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from shared import tracing
from shared.http.calls import name_span
from shared.http.guard import LIVE
from shared.http.openapi import OPENAPI_ROUTES, DocumentErrors, openapi_config
from shared.http.problems import EXCEPTION_HANDLERS
from shared.http.sign_in import SignInMiddleware, principal_in
from shared.identity.authenticator import Authenticator
from shared.identity.errors import forbidden
from shared.identity.principals import Principal
from shared.identity.roles import NO_BINDINGS, ROLE_FOR, Right, rights_on
from shared.telemetry import CONTENT_TYPE, Telemetry

# Unicode's noncharacters. The first that is not in the path replaces %2F while the framework looks for the route.
STAND_INS = [chr(code) for code in range(0xFDD0, 0xFDF0)]


class Application(Litestar):
    def __init__(
        self,
        handlers: Sequence[Any],
        telemetry: Telemetry,
        exception_handlers: dict[type[Exception], Any] | None = None,
        authenticator: Authenticator | None = None,
        public: Iterable[str] = (),
        describes: bool = False,
        **options: Any,
    ) -> None:
        """Serves `handlers` and /metrics. `describes`: the framework can describe the routes, for `make openapi`.
        `exception_handlers` come before EXCEPTION_HANDLERS; `options` go to Litestar.

        With an `authenticator`, a request needs a principal, unless it is for one of the `public` paths."""
        # The framework's own __call__, after sign-in.
        self._enter: ASGIApp = super().__call__
        if authenticator is not None:
            self._enter = SignInMiddleware(super().__call__, authenticator, public, telemetry.count_stranger)
        super().__init__(
            [*handlers, live, metrics_route(telemetry, authenticator), *(() if describes else OPENAPI_ROUTES)],
            plugins=[DocumentErrors()] if describes else [],
            before_send=[telemetry.count] if tracing.traces() is None else [telemetry.count, name_span],
            logging_config=None,
            exception_handlers=EXCEPTION_HANDLERS | (exception_handlers or {}),
            openapi_config=openapi_config() if describes else None,
            **options,
        )

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """A plain function that returns Litestar's coroutine. One coroutine more would cost a request a microsecond."""
        if b"%2" in scope.get("raw_path", b"") and b"%2f" in scope["raw_path"].lower():
            scope = keep_slashes(scope)
        return self._enter(scope, receive, send)


@get(LIVE, include_in_schema=False, media_type=MediaType.TEXT, sync_to_thread=False)
def live() -> str:
    """`ok` while the process answers: for a supervisor, which starts one again that does not. It asks no other server;
    /health does."""
    return "ok"


def metrics_route(telemetry: Telemetry, authenticator: Authenticator | None) -> HTTPRouteHandler:
    """The route /metrics. Where principals sign in, it is for those who may see the whole ledger: metrics are figures
    of all projects together, and name none."""

    @get("/metrics", include_in_schema=False)
    async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        if authenticator is not None:
            check_viewer(authenticator, principal_in(request))
        return Response(await telemetry.render(), media_type=CONTENT_TYPE)

    return metrics


def check_viewer(authenticator: Authenticator, principal: Principal) -> None:
    """Raises Forbidden if the principal may not see the whole ledger."""
    if not rights_on(authenticator.policy, NO_BINDINGS, principal, None) & Right.SEE:
        raise forbidden(None, ROLE_FOR[Right.SEE])


class ScopeWithSlashes(dict[str, Any]):
    """An ASGI scope in which `stand_in` replaces %2F. When the framework sets the path and its parameters, `stand_in`
    becomes a slash again."""

    stand_in: str

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "path":
            value = value.replace(self.stand_in, "/")
        elif name == "path_params":
            value = {
                parameter: given.replace(self.stand_in, "/") if isinstance(given, str) else given
                for parameter, given in value.items()
            }
        super().__setitem__(name, value)


def keep_slashes(scope: dict[str, Any]) -> dict[str, Any]:
    """The scope with a stand-in for every %2F of its path; the scope itself if the path uses all STAND_INS."""
    raw_path = scope["raw_path"].partition(b"?")[0]  # some servers leave the query there
    segments = [unquote(segment) for segment in raw_path.decode("latin-1").split("/")]
    stand_in = next((one for one in STAND_INS if not any(one in segment for segment in segments)), None)
    if stand_in is None:
        return scope
    kept = ScopeWithSlashes(scope, path="/".join(segment.replace("/", stand_in) for segment in segments))
    kept.stand_in = stand_in
    return kept
