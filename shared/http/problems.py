"""Exception handlers: every error of a service becomes a problem document (RFC 9457)."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.utils.scope.state import ScopeState

from shared.errors import HourbookError
from shared.http.middleware import allow_header
from shared.http.problem_document import MEDIA_TYPE, document, send_document

log = logging.getLogger(__name__)

CLIENT_LEFT = "client disconnected prematurely"  # the framework's message
CHALLENGE = 'Bearer realm="hourbook"'  # of a 401: how to sign in
GIVEN_MAX = 100  # an error repeats this many characters of a value that the client gave


def problem(status: int, code: str, title: str, detail: str, facts: dict[str, Any] | None = None) -> Response[bytes]:
    """A response whose body is the problem document, with the members of `facts`. A 503 has `Retry-After: 1`."""
    headers = {"Retry-After": "1"} if status == 503 else None
    content = document(status, code, title, detail, facts)
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_body(error: HourbookError) -> bytes:
    """The problem document of an error as JSON, for storing it or putting it into another body."""
    return document(error.status, error.code, error.title, error.detail, error.facts)


async def refuse(error: HourbookError, send: Any) -> None:
    """Answers the problem document of the error. A 401 says how to sign in, a 503 when to try again."""
    headers = {"cache-control": "no-store"}
    if error.status == 401:
        headers["www-authenticate"] = CHALLENGE
    if error.status == 503:
        headers["retry-after"] = "1"
    await send_document(send, error.status, problem_body(error), headers)


def hourbook_error(_: Request[Any, Any, Any], error: HourbookError) -> Response[bytes]:
    return problem(error.status, error.code, error.title, error.detail, error.facts)


def validation_error(request: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    """400 with each bad field: a parameter does not have its type, or a required body is missing."""
    extra: Any = error.extra if isinstance(error.extra, list) else []
    called = parameter_names(request.route_handler)
    errors = [
        parameter_error(request, called.get(item.get("key", ""), item.get("key", "")), item["message"])
        for item in extra
    ]
    if ScopeState.from_scope(request.scope).body == b"":
        errors = [{"field": "body", "detail": "it is empty; send a JSON object"}]
    detail = "; ".join(f"{item['field']}: {item['detail']}" for item in errors) or error.detail
    return problem(400, "invalid_field", "A field of the request is not valid", detail, {"errors": errors})


def parameter_error(request: Request[Any, Any, Any], field: str, message: str) -> dict[str, str]:
    """What is wrong with a parameter, as `errors` of a problem has it. `message` is the framework's; the client gets a
    plain one instead where that speaks of Python types."""
    given = request.query_params.get(field)
    if given is not None and message.startswith(("Expected `int`, got", "Expected `int | null`, got")):
        message = f"{given[:GIVEN_MAX]!r} is not a whole number in digits"
    return {"field": field, "detail": message}


def parameter_names(handler: Any) -> dict[str, str]:
    """The names that parameters have in the URL (`from`), by their names in Python, where the two differ."""
    return {
        name: called
        for name, parameter in route_parameters(handler).items()
        if (called := getattr(parameter.kwarg_definition, "name", None))
    }


def route_parameters(handler: Any) -> dict[str, Any]:
    """The parameters of a route and of its dependencies, by their names in Python."""
    signatures = [one.parsed_fn_signature for one in (*handler.resolve_dependencies().values(), handler)]
    return {name: parameter for signature in signatures for name, parameter in signature.parameters.items()}


def http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """The problem of an error that the framework raises: no such path, a body too large, a method not allowed."""
    if error.detail == CLIENT_LEFT:  # the client does not read this response, but metrics count it as 400, not as 500
        return problem(400, "body_missing", "The body is not complete", "the client left before it had sent its body")
    allow = allow_header((error.headers or {}).get("allow", "").split(","))
    detail = f"this path allows {allow}" if allow else error.detail
    title = HTTPStatus(error.status_code).phrase
    response = problem(error.status_code, f"http_{error.status_code}", title, detail)
    if allow:
        response.headers["Allow"] = allow
    return response


def too_deep(_: Request[Any, Any, Any], error: RecursionError) -> Response[bytes]:
    """400 for a JSON body whose arrays or objects are nested too deeply."""
    errors = [{"field": "body", "detail": f"it is nested too deeply: {error}"}]
    return problem(400, "invalid_field", "A field of the request is not valid", errors[0]["detail"], {"errors": errors})


def not_utf8(request: Request[Any, Any, Any], error: UnicodeDecodeError) -> Response[bytes]:
    """400 for a body that is not UTF-8; 500 for any other UnicodeDecodeError, which is a bug of the service."""
    body = ScopeState.from_scope(request.scope).body
    if not isinstance(body, bytes) or error.object not in body:
        return unexpected(request, error)
    errors = [{"field": "body", "detail": f"it is not UTF-8, at byte {error.start}"}]
    return problem(400, "invalid_field", "A field of the request is not valid", errors[0]["detail"], {"errors": errors})


def no_memory(request: Request[Any, Any, Any], error: MemoryError) -> Response[bytes]:
    """503: somebody else's request may need less, or this one may find more later."""
    log.error("%s %s: %r: give this process more memory", request.method, request.url.path, error)
    detail = "the service has no memory left for this request; send it again later, with the same Idempotency-Key"
    return problem(503, "out_of_memory", "The service has no memory left", detail)


def unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """500 for a bug of the service. The log has the error; the client does not see it."""
    log.error("%s %s: %r", request.method, request.url.path, error, exc_info=error)
    return problem(500, "internal_error", "Internal error", "the log of the service has it")


EXCEPTION_HANDLERS: Any = {
    HourbookError: hourbook_error,
    ValidationException: validation_error,
    HTTPException: http_error,
    RecursionError: too_deep,
    UnicodeDecodeError: not_utf8,
    MemoryError: no_memory,
    Exception: unexpected,
}
