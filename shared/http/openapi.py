"""The OpenAPI document of a service, and the page that shows it.

The page is Swagger UI; its files and licences are in `openapi_page`. The framework's own pages load their files from
other hosts, which a browser in a closed network cannot reach.
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
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

from shared.errors import HourbookError
from shared.http.problem_document import MEDIA_TYPE, page_headers
from shared.http.problems import Problem
from shared.identity.credentials import COOKIE
from shared.version import VERSION

PAGE = Path(__file__).parent / "openapi_page"
TYPES = {"swagger-ui.js": "text/javascript", "show.js": "text/javascript", "swagger-ui.css": "text/css"}
CACHED = {"Cache-Control": "public, max-age=3600"}

# Swagger UI's stylesheet has its icons as data: URLs.
PAGE_HEADERS = [ResponseHeader(name=name, value=value) for name, value in page_headers(images="'self' data:").items()]

READ_ERRORS = (400, 401, 403, 404, 503)
WRITE_ERRORS = (400, 401, 403, 404, 409, 413, 415, 503)
# The codes that have no error class: meaning by code, by status.
OTHER_CODES = {
    400: {"http_400": "The body of the command is not JSON."},
    404: {"http_404": "The service has no such path."},
    413: {"http_413": "The body is larger than 1 MB."},
    415: {"unsupported_encoding": "The body has a Content-Encoding. Send it without one."},
    503: {
        "store_unavailable": "The service cannot reach its database. Retry after the seconds in Retry-After.",
        "out_of_memory": "The service has no memory left for the request. Send it again later, with the same"
        " Idempotency-Key if it is a command.",
    },
}


class SwaggerPage(OpenAPIRenderPlugin):
    """The page that shows the document and can send requests."""

    def __init__(self) -> None:
        super().__init__(path="/", favicon="", style="")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        del request, openapi_schema  # the page fetches the document itself
        return asset("index.html")


class DocumentErrors(ReceiveRoutePlugin):
    """Adds to every operation the errors that it may answer, and a tag: the first segment of its path.

    A response that is made as bytes has no type in the document. The operation's description says what it holds.
    """

    def __init__(self) -> None:
        self._read_errors = {status: problem_spec(status) for status in READ_ERRORS}
        self._write_errors = {status: problem_spec(status) for status in WRITE_ERRORS}

    def receive_route(self, route: BaseRoute) -> None:
        if isinstance(route, HTTPRoute):
            for handler, _ in route.route_handler_map.values():
                if handler.resolve_include_in_schema():
                    errors = self._read_errors if handler.http_methods <= {"GET", "HEAD"} else self._write_errors
                    handler.responses = errors | untyped_responses(handler) | dict(handler.responses or {})
                    handler.tags = handler.tags or [route.path.split("/")[1].partition(".")[0]]


def untyped_responses(handler: HTTPRouteHandler) -> dict[int, ResponseSpec]:
    """The success and the 304 of an operation that returns bytes, by status; none for any other operation."""
    if not any(inner.annotation is bytes for inner in handler.parsed_fn_signature.return_type.inner_types):
        return {}
    return {
        handler.status_code: response_spec(Any, "The description of the operation says what it holds.", "*/*"),
        304: response_spec(None, "Nothing changed since the ETag in If-None-Match. Only where responses have an ETag."),
    }


def problem_spec(status: int) -> ResponseSpec:
    """A problem document with this status. Its description lists each code and its meaning."""
    return response_spec(Problem, codes_text(status), MEDIA_TYPE)


def response_spec(body: Any, description: str, media_type: str = "application/json") -> ResponseSpec:
    return ResponseSpec(body, generate_examples=False, description=description, media_type=media_type)


def codes_text(status: int) -> str:
    """Each code that has this status, with its meaning, in Markdown."""
    ours = {error.code: " ".join((error.__doc__ or "").split()) for error in error_classes() if error.status == status}
    return "\n\n".join(f"`{code}`: {meaning}" for code, meaning in (OTHER_CODES.get(status, {}) | ours).items())


def error_classes() -> Iterator[type[HourbookError]]:
    """Every error class with a code of its own that this process has imported, sorted by code."""

    def under(error: type[HourbookError]) -> Iterable[type[HourbookError]]:
        for kind in error.__subclasses__():
            if "code" in vars(kind):
                yield kind
            yield from under(kind)

    yield from sorted(set(under(HourbookError)), key=lambda error: error.code)


# The ways to prove who one is. Where nobody signs in, none is needed.
SCHEMES = {
    "token": SecurityScheme(
        type="http", scheme="bearer", description="One of Hourbook's own tokens (`hbk_…`), or an issuer's access token."
    ),
    "keystone": SecurityScheme(
        type="apiKey", security_scheme_in="header", name="X-Auth-Token", description="A token of OpenStack Keystone."
    ),
    "session": SecurityScheme(
        type="apiKey", security_scheme_in="cookie", name=COOKIE, description="The session of the page, after sign-in."
    ),
}


def openapi_config(description: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Hourbook",
        components=Components(security_schemes=dict(SCHEMES)),
        security=[{name: []} for name in SCHEMES],
        version=VERSION,
        description=description,
        use_handler_docstrings=True,
        render_plugins=[SwaggerPage(), JsonRenderPlugin(), YamlRenderPlugin()],
        openapi_router=Router("/schema", route_handlers=[], include_in_schema=False, response_headers=PAGE_HEADERS),
    )


@get([f"/schema/{name}" for name in TYPES], include_in_schema=False, sync_to_thread=False)
def openapi_assets(request: Request[Any, Any, Any]) -> Response[bytes]:
    """A file of the page."""
    name = request.url.path.rpartition("/")[2]
    return Response(asset(name), media_type=TYPES[name], headers=CACHED)


@cache
def asset(name: str) -> bytes:
    return (PAGE / name).read_bytes()
