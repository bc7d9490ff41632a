"""The OpenAPI document of a service, and the page that shows it, without any network beyond the service.

Swagger UI (vendored in `openapi_page`, with its licences) and not the pages of the framework, which are fetched from a
network that is not everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from litestar import Request, Response, Router, get
from litestar.datastructures import ResponseHeader
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin, YamlRenderPlugin
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

from shared.errors import HourbookError
from shared.http.problem_document import MEDIA_TYPE, POLICY, page_headers
from shared.http.problems import Problem
from shared.version import VERSION

PAGE = Path(__file__).parent / "openapi_page"
TYPES = {"swagger-ui.js": "text/javascript", "show.js": "text/javascript", "swagger-ui.css": "text/css"}
KEPT = {"Cache-Control": "public, max-age=3600"}

# Its icons are images in its own styles.
PAGE_HEADERS = [
    ResponseHeader(name=name, value=value) for name, value in page_headers(f"{POLICY}; img-src 'self' data:").items()
]

READ = (400, 404, 503)
WRITTEN = (400, 404, 409, 413, 415, 503)
# Codes without a class of their own: by status, and what each means.
OTHERS = {
    400: {"http_400": "The body is not JSON."},
    404: {"http_404": "No such path."},
    413: {"http_413": "The body is larger than 1 MB."},
    415: {"unsupported_encoding": "The body has a Content-Encoding; send it as it is."},
    503: {"store_unavailable": "The database cannot be reached. Retry-After says when to ask again."},
}


class Reference(OpenAPIRenderPlugin):
    """The interface as a page, to read and to try."""

    def __init__(self) -> None:
        super().__init__(path="/", favicon="", style="")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        del request, openapi_schema  # the page fetches the document itself
        return asset("index.html")


class Errors(ReceiveRoutePlugin):
    """Says of every operation which errors it answers, and sorts the operations by what they are about. A body that is
    made as bytes has no type: the operation's own text says what is in it."""

    def __init__(self) -> None:
        self._read = {status: refusal(status) for status in READ}
        self._written = {status: refusal(status) for status in WRITTEN}

    def receive_route(self, route: BaseRoute) -> None:
        if isinstance(route, HTTPRoute):
            for handler, _ in route.route_handler_map.values():
                if handler.resolve_include_in_schema():
                    errors = self._read if handler.http_methods <= {"GET", "HEAD"} else self._written
                    handler.responses = errors | untyped(handler) | dict(handler.responses or {})
                    handler.tags = handler.tags or [route.path.split("/")[1].partition(".")[0]]


def untyped(handler: HTTPRouteHandler) -> dict[int, ResponseSpec]:
    if not any(inner.annotation is bytes for inner in handler.parsed_fn_signature.return_type.inner_types):
        return {}
    return {
        handler.status_code: response(Any, "As the operation's description says.", "*/*"),
        304: response(None, "Where answers have an ETag: that of If-None-Match still holds."),
    }


def refusal(status: int) -> ResponseSpec:
    """A problem document, with each code that comes with the status."""
    return response(Problem, says(status), MEDIA_TYPE)


def response(body: Any, description: str, media_type: str = "application/json") -> ResponseSpec:
    return ResponseSpec(body, generate_examples=False, description=description, media_type=media_type)


def says(status: int) -> str:
    """Each code that comes with the status, and its meaning."""
    ours = {error.code: " ".join((error.__doc__ or "").split()) for error in errors() if error.status == status}
    return "\n\n".join(f"`{code}`: {meaning}" for code, meaning in (OTHERS.get(status, {}) | ours).items())


def errors() -> Iterator[type[HourbookError]]:
    """Every error class that this service has loaded, by code."""

    def under(error: type[HourbookError]) -> Iterable[type[HourbookError]]:
        for kind in error.__subclasses__():
            yield kind
            yield from under(kind)

    yield from sorted(set(under(HourbookError)), key=lambda error: error.code)


def openapi_config(description: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Hourbook",
        version=VERSION,
        description=description,
        use_handler_docstrings=True,
        render_plugins=[Reference(), JsonRenderPlugin(), YamlRenderPlugin()],
        openapi_router=Router("/schema", route_handlers=[], include_in_schema=False, response_headers=PAGE_HEADERS),
    )


@get([f"/schema/{name}" for name in TYPES], include_in_schema=False, sync_to_thread=False)
def openapi_assets(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What the page is made of."""
    name = request.url.path.rpartition("/")[2]
    return Response(asset(name), media_type=TYPES[name], headers=KEPT)


@cache
def asset(name: str) -> bytes:
    return (PAGE / name).read_bytes()
