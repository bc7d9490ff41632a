"""RFC 9457 problem documents: every error that leaves over HTTP, one shape."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.utils.scope.state import ScopeState
from msgspec import Meta

from shared.errors import HourbookError
from shared.http.middleware import allowing
from shared.http.problem_document import MEDIA_TYPE, document

log = logging.getLogger(__name__)

LEFT = "client disconnected prematurely"  # the framework's words
GIVEN_MAX = 100  # characters of what was given that an error repeats


class BadField(msgspec.Struct, frozen=True):
    """A field, and what is wrong with it."""

    field: Annotated[str, Meta(description="The name of the field, parameter or header.")]
    detail: Annotated[str, Meta(description="What is wrong with it, and what would be right.")]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457. `code` is stable; `errors` names each bad field. An error may have more members: its own facts."""

    type: Annotated[str, Meta(description="A URI for this kind of problem, as RFC 9457 wants it.")]
    title: Annotated[str, Meta(description="What kind of problem it is. The same text for each `code`.")]
    status: Annotated[int, Meta(description="The status of the response.")]
    detail: Annotated[str, Meta(description="What is wrong in this case, and what would be right. For people.")]
    code: Annotated[str, Meta(description="Which problem it is. For programs: it never changes its meaning.")]
    errors: Annotated[
        list[BadField] | None, Meta(description="Each bad field. Only where the request itself is wrong (400).")
    ] = None


def problem(status: int, code: str, title: str, detail: str, facts: dict[str, Any] | None = None) -> Response[bytes]:
    """A response whose body has `type`, `title`, `status`, `detail`, `code` and the facts of the error."""
    headers = {"Retry-After": "1"} if status == 503 else None
    content = document(status, code, title, detail, facts)
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_body(error: HourbookError) -> bytes:
    """The problem document of an error, as it is where the error is not the answer itself."""
    return document(error.status, error.code, error.title, error.detail, error.facts)


def hourbook_error(_: Request[Any, Any, Any], error: HourbookError) -> Response[bytes]:
    return problem(error.status, error.code, error.title, error.detail, error.facts)


def validation_error(request: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    """A parameter that is not as its type says, or no body where one must be: 400, with each bad field."""
    extra: Any = error.extra if isinstance(error.extra, list) else []
    called = names_of(request.route_handler)
    errors = [said_of(request, called.get(item.get("key", ""), item.get("key", "")), item["message"]) for item in extra]
    if ScopeState.from_scope(request.scope).body == b"":
        errors = [{"field": "body", "detail": "it is empty; send a JSON object"}]
    detail = "; ".join(f"{item['field']}: {item['detail']}" for item in errors) or error.detail
    return problem(400, "invalid_field", "A field of the request is not valid", detail, {"errors": errors})


def said_of(request: Request[Any, Any, Any], field: str, message: str) -> dict[str, str]:
    """The framework's words for a parameter, but for those that only a program's writer understands."""
    given = request.query_params.get(field)
    if given is not None and message.startswith(("Expected `int`, got", "Expected `int | null`, got")):
        message = f"{given[:GIVEN_MAX]!r} is not a whole number in digits"
    return {"field": field, "detail": message}


def names_of(handler: Any) -> dict[str, str]:
    """What the parameters of a route are called in the address: `from`, where they are called otherwise here."""
    return {
        name: called
        for name, parameter in parameters_of(handler).items()
        if (called := getattr(parameter.kwarg_definition, "name", None))
    }


def parameters_of(handler: Any) -> dict[str, Any]:
    """The parameters of a route, and of what it depends on."""
    signatures = [one.parsed_fn_signature for one in (*handler.resolve_dependencies().values(), handler)]
    return {name: parameter for signature in signatures for name, parameter in signature.parameters.items()}


def http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What the framework refuses by itself: no such path, a body too large, a method that is not there."""
    if error.detail == LEFT:  # nobody reads this; it is counted, and is no mistake of ours
        return problem(400, "body_missing", "The body did not come", "the client left before its body was whole")
    allow = allowing((error.headers or {}).get("allow", "").split(","))
    detail = f"this path answers {allow}" if allow else error.detail
    refusal = problem(error.status_code, f"http_{error.status_code}", type(error).__name__, detail)
    if allow:
        refusal.headers["Allow"] = allow
    return refusal


def too_deep(_: Request[Any, Any, Any], error: RecursionError) -> Response[bytes]:
    """A body of brackets in brackets in brackets."""
    errors = [{"field": "body", "detail": f"it is nested too deeply: {error}"}]
    return problem(400, "invalid_field", "A field of the request is not valid", errors[0]["detail"], {"errors": errors})


def not_utf8(request: Request[Any, Any, Any], error: UnicodeDecodeError) -> Response[bytes]:
    """A body that is no text; any other decoding that fails is a mistake of ours."""
    body = ScopeState.from_scope(request.scope).body
    if not isinstance(body, bytes) or error.object not in body:
        return unexpected(request, error)
    errors = [{"field": "body", "detail": f"it is not UTF-8, at byte {error.start}"}]
    return problem(400, "invalid_field", "A field of the request is not valid", errors[0]["detail"], {"errors": errors})


def unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A mistake of ours. Its words go to the log and not to the client."""
    log.error("%s %s: %r", request.method, request.url.path, error, exc_info=error)
    return problem(500, "internal_error", "Something went wrong here", "it was written to the service's log")


EXCEPTION_HANDLERS: Any = {
    HourbookError: hourbook_error,
    ValidationException: validation_error,
    HTTPException: http_error,
    RecursionError: too_deep,
    UnicodeDecodeError: not_utf8,
    Exception: unexpected,
}
