"""The ASGI application of both HTTP services: /metrics, the OpenAPI page, problem documents, counted requests.

A slash within a name in a path stays in the name. The framework looks at a path whose %2F have become slashes already,
and so `/accounts/team%2Fada/usage` would be another place than the client meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler

from shared.http.openapi import Errors, openapi_assets, openapi_config
from shared.http.problems import EXCEPTION_HANDLERS
from shared.telemetry import CONTENT_TYPE, Telemetry

# None of these is a letter; the first that is not in the path stands for a slash while the route is looked for.
STAND_INS = [chr(code) for code in range(0xFDD0, 0xFDF0)]


class Application(Litestar):
    def __init__(
        self,
        handlers: Sequence[Any],
        telemetry: Telemetry,
        description: str,
        exception_handlers: dict[type[Exception], Any] | None = None,
        **options: Any,
    ) -> None:
        """Serves `handlers`, and /metrics from `telemetry`. `description` introduces the OpenAPI page.
        `exception_handlers` are the service's own; `options` are Litestar's."""
        super().__init__(
            [*handlers, metrics_of(telemetry), openapi_assets],
            plugins=[Errors()],
            before_send=[telemetry.count],
            logging_config=None,
            exception_handlers=EXCEPTION_HANDLERS | (exception_handlers or {}),
            openapi_config=openapi_config(description),
            **options,
        )

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """No coroutine of its own: that would cost every request a microsecond."""
        if b"%2" in scope.get("raw_path", b"") and b"%2f" in scope["raw_path"].lower():
            scope = slashes_kept(scope)
        return super().__call__(scope, receive, send)


def metrics_of(telemetry: Telemetry) -> HTTPRouteHandler:
    """The route /metrics."""

    @get("/metrics", include_in_schema=False)
    async def metrics() -> Response[bytes]:
        return Response(await telemetry.render(), media_type=CONTENT_TYPE)

    return metrics


class Kept(dict[str, Any]):
    """A request whose route is yet to be found. When it is, what stood for a slash is one again."""

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


def slashes_kept(scope: dict[str, Any]) -> dict[str, Any]:
    segments = [unquote(segment) for segment in scope["raw_path"].decode("latin-1").split("/")]
    stand_in = next((one for one in STAND_INS if not any(one in segment for segment in segments)), None)
    if stand_in is None:
        return scope
    kept = Kept(scope, path="/".join(segment.replace("/", stand_in) for segment in segments))
    kept.stand_in = stand_in
    return kept
