"""The OpenAPI document of the one address, and the page that shows it. Both services serve the same file.

The document is made at development time (`make openapi`), so no start and no request waits for it. The page is Swagger
UI; its files and licences are in `openapi_page`. The framework's own pages load their files from other hosts, which a
browser in a closed network cannot reach.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import ResponseHeader
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

from shared.errors import HourbookError
from shared.http.answers import ANSWERS, Answers
from shared.http.problem_document import MEDIA_TYPE, page_headers
from shared.http.problem_type import Problem
from shared.http.responses import EncodedResponse
from shared.identity.credentials import COOKIE
from shared.version import VERSION

PAGE = Path(__file__).parent / "openapi_page"
FILE = Path(__file__).parent / "openapi.json"
TYPES = {"swagger-ui.js": "text/javascript", "show.js": "text/javascript", "swagger-ui.css": "text/css"}
CACHED = {"Cache-Control": "public, max-age=3600"}

# Swagger UI's stylesheet has its icons as data: URLs.
PAGE_HEADERS = [ResponseHeader(name=name, value=value) for name, value in page_headers(images="'self' data:").items()]

NONE = Answers()
READ_ERRORS = (400, 401, 403, 404, 405, 503)
WRITE_ERRORS = (400, 401, 403, 404, 405, 409, 413, 415, 503)
# The codes that have no error class: meaning by code, by status.
OTHER_CODES = {
    400: {"http_400": "The body of the command is not JSON."},
    404: {"http_404": "The service has no such path."},
    405: {"http_405": "The path takes other methods: those in the header Allow."},
    413: {"http_413": "The body is larger than 1 MB."},
    415: {"unsupported_encoding": "The body has a Content-Encoding. Send it without one."},
    503: {
        "store_unavailable": "The service cannot reach its database. Retry after the seconds in Retry-After.",
        "out_of_memory": "The service has no memory left for the request. Send it again later, with the same"
        " Idempotency-Key if it is a command.",
    },
}


class DocumentErrors(ReceiveRoutePlugin):
    """Adds to every operation the errors that it may answer, and a tag: the first segment of its path.

    A read that is made as bytes has no type here; the document takes that from the route's `Answers`.
    """

    def __init__(self) -> None:
        self._read_errors = {status: problem_spec(status, "query") for status in READ_ERRORS}
        self._write_errors = {status: problem_spec(status, "command") for status in WRITE_ERRORS}

    def receive_route(self, route: BaseRoute) -> None:
        if isinstance(route, HTTPRoute):
            for handler, _ in route.route_handler_map.values():
                if handler.resolve_include_in_schema():
                    errors = self._read_errors if handler.http_methods <= {"GET", "HEAD"} else self._write_errors
                    own = {status: problem_spec(status, "query") for status in handler.opt.get(ANSWERS, NONE).errors}
                    handler.responses = errors | own | dict(handler.responses or {})
                    handler.tags = handler.tags or [route.path.split("/")[1].partition(".")[0]]


def problem_spec(status: int, service: str) -> ResponseSpec:
    """A problem document with this status. Its description lists each code of the service and its meaning."""
    return response_spec(Problem, codes_text(status, service), MEDIA_TYPE)


def response_spec(body: Any, description: str, media_type: str = "application/json") -> ResponseSpec:
    return ResponseSpec(body, generate_examples=False, description=description, media_type=media_type)


def codes_text(status: int, service: str) -> str:
    """Each code of a service that has this status, with its meaning, in Markdown."""
    ours = {
        error.code: " ".join((error.__doc__ or "").split())
        for error in error_classes()
        if error.status == status and error.__module__.startswith((f"services.{service}.", "shared."))
    }
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
        type="apiKey",
        security_scheme_in="header",
        name="X-Auth-Token",
        description="A token of OpenStack Keystone, or Hourbook's.",
    ),
    "session": SecurityScheme(
        type="apiKey", security_scheme_in="cookie", name=COOKIE, description="The session of the page, after sign-in."
    ),
}


def openapi_config() -> OpenAPIConfig:
    """What `make openapi` has the framework describe."""
    return OpenAPIConfig(
        title="Hourbook",
        components=Components(security_schemes=dict(SCHEMES)),
        security=[{name: []} for name in SCHEMES],
        version=VERSION,
        use_handler_docstrings=True,
    )


@get("/schema", include_in_schema=False, sync_to_thread=False, response_headers=PAGE_HEADERS)
def openapi_page() -> Response[bytes]:
    """The page that shows the document and can send requests."""
    return Response(asset("index.html"), media_type="text/html")


@get(["/schema/openapi.json", "/schema/openapi.yaml"], include_in_schema=False, sync_to_thread=False)
def openapi_document(request: Request[Any, Any, Any]) -> EncodedResponse[bytes]:
    """The document. JSON is YAML, too."""
    etag, plain, gzipped = document()
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    media_type = f"application/vnd.oai.openapi{'+json' if request.url.path.endswith('.json') else ''}"
    if etag in request.headers.get("If-None-Match", ""):
        return EncodedResponse(b"", status_code=304, headers=headers, media_type=media_type)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return EncodedResponse(gzipped, media_type=media_type, headers={**headers, "Content-Encoding": "gzip"})
    return EncodedResponse(plain, media_type=media_type, headers=headers)


@get([f"/schema/{name}" for name in TYPES], include_in_schema=False, sync_to_thread=False)
def openapi_assets(request: Request[Any, Any, Any]) -> Response[bytes]:
    """A file of the page."""
    name = request.url.path.rpartition("/")[2]
    return Response(asset(name), media_type=TYPES[name], headers=CACHED)


OPENAPI_ROUTES = (openapi_page, openapi_document, openapi_assets)


@cache
def document() -> tuple[str, bytes, bytes]:
    """The ETag of the document, its bytes, and the same gzipped."""
    plain = msgspec.json.encode(msgspec.json.decode(FILE.read_bytes()))
    return f'W/"{blake2b(plain, digest_size=12).hexdigest()}"', plain, gzip.compress(plain, 9, mtime=0)


@cache
def asset(name: str) -> bytes:
    return (PAGE / name).read_bytes()
