"""Each HTTP request as a call: its id for the log, and its span where traces are on."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from shared import tracing
from shared.call_id import CALL

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from shared.opentelemetry import Traces

CALL_KEY, SPAN_KEY = "call", "span"  # in an ASGI scope
CARRIED = (b"traceparent", b"tracestate")


def called(app: ASGIApp) -> ASGIApp:
    """The application with the call id of each request in its context, inside of a span where traces are on."""
    traces = tracing.traces()
    return CallMiddleware(app if traces is None else TracedRequests(app, traces))


class CallMiddleware:
    """Sets CALL to the id that the connection put into the scope. A plain function: it costs a request one call."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if (call := scope.get(CALL_KEY)) is not None:
            CALL.set(call)  # type: ignore[arg-type]
        return self._app(scope, receive, send)


class TracedRequests:
    """A span for each request. `name_span` gives it the name of its route."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app, self._traces = app, traces

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._traces.request(scope["method"], carried(scope["headers"])) as span:

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    answered(self._traces, span, message["status"])
                await send(message)

            note_call(span, CALL.get())
            await self._app({**scope, SPAN_KEY: span}, receive, send_and_note)  # type: ignore[arg-type]


async def name_span(message: Any, scope: Any) -> None:
    """Litestar's `before_send`, where traces are on: names the span after the route, which is known now."""
    span = scope.get(SPAN_KEY)
    if span is not None and message["type"] == "http.response.start" and (route := scope.get("path_template")):
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)


def carried(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers of a trace. The names of `headers` have small letters."""
    return {name.decode(): value.decode("latin-1") for name, value in headers if name in CARRIED}


def note_call(span: Span, call: str) -> None:
    span.set_attribute("hourbook.call", call)


def answered(traces: Traces, span: Span, status: int) -> None:
    """Notes the status of the response. The server has failed if it is 500 or more."""
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        traces.failed(span, str(status))
