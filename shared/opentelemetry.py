"""The traces of a process that has them. Only `shared/tracing.py` imports this module, where traces are switched on.

Names and attributes are those of OpenTelemetry's semantic conventions. No attribute has a path, a query string, a value
of a statement or a name of a person: for a request there is the route, for a statement its text with `$1`.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any, Literal

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.version import VERSION

END_S = 2.0
MINUTE_S = 60.0
NOISY = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")
STATEMENT_MAX = 1000
NS = 1_000_000_000
TARGET = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+(?:ONLY\s+)?([a-z_][\w.]*)", re.IGNORECASE)

Attributes = Mapping[str, Any]
Kind = Literal["internal", "client", "producer"]
KINDS: dict[Kind, SpanKind] = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT, "producer": SpanKind.PRODUCER}


class Traces:
    """Makes spans and sends them to the collector in a thread of its own. A collector that is away delays nothing:
    spans that find no room in the queue are dropped."""

    def __init__(self, service: str, *, console: bool = False, exporter: SpanExporter | None = None) -> None:
        named = {SERVICE_NAME: f"hourbook-{service}", "service.version": VERSION}
        resource = Resource.create(named).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        if console:
            self._provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
        else:
            self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        for name in NOISY:
            logging.getLogger(name).addFilter(OnceAMinute())
        self._tracer = self._provider.get_tracer("hourbook", VERSION)
        self._propagator = TraceContextTextMapPropagator()

    def end(self) -> None:
        """Sends what waits, for END_S at most."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(END_S)

    def span(
        self, name: str, attributes: Attributes | None = None, kind: Kind = "internal"
    ) -> AbstractContextManager[Span]:
        """A span around the block, inside of the present one."""
        return self.during(self._tracer.start_span(name, kind=KINDS[kind], attributes=attributes))

    def note(self, name: str, value: str | int | bool) -> None:
        trace.get_current_span().set_attribute(name, value)

    def trace_id(self) -> str:
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else ""

    def present(self) -> SpanContext | None:
        """The present span, if it is one that is kept."""
        context = trace.get_current_span().get_span_context()
        return context if context.is_valid and context.trace_flags.sampled else None

    def request(self, method: str, carrier: Mapping[str, str]) -> AbstractContextManager[Span]:
        """The span of a request that a server answers. `carrier` has the headers `traceparent` and `tracestate` of the
        client, if it sent them."""
        parent = self._propagator.extract(carrier)
        return self.during(self._tracer.start_span(method, parent, SpanKind.SERVER, {"http.request.method": method}))

    @contextmanager
    def during(self, span: Span) -> Iterator[Span]:
        """The span as the present one during the block, at the end of which it ends. Of an error it notes the class:
        the message may hold a name."""
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except Exception as error:
                self.failed(span, type(error).__name__)
                raise

    def fail(self, kind: str) -> None:
        """Marks the present span as failed."""
        self.failed(trace.get_current_span(), kind)

    def failed(self, span: Span, kind: str) -> None:
        """Marks a span as failed. `kind` is a word of few values, such as the class of an error."""
        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR))

    def headers(self, of: SpanContext | None = None) -> dict[str, str]:
        """The headers `traceparent` and `tracestate` that make what a receiver does a part of the trace: inside of the
        span `of`, or of the present one."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, None if of is None else within(of))
        return carrier

    def parse(self, traceparent: str) -> SpanContext | None:
        """The span that a `traceparent` names; None if it names none, or one that is not kept."""
        context = trace.get_current_span(self._propagator.extract({"traceparent": traceparent}, Context()))
        found = context.get_span_context()
        return found if found.is_valid and found.trace_flags.sampled else None

    def begin(
        self,
        name: str,
        parent: SpanContext,
        kind: Kind = "internal",
        attributes: Attributes | None = None,
        links: Sequence[SpanContext] = (),
        began_ns: int | None = None,
    ) -> Span:
        """A span inside of `parent`, which may be another process's. Whoever calls it ends the span."""
        return self._tracer.start_span(
            name, within(parent), KINDS[kind], attributes, [Link(one) for one in links], start_time=began_ns
        )

    def record(
        self,
        name: str,
        parent: SpanContext,
        began_ns: int,
        ended_ns: int,
        attributes: Attributes | None = None,
        links: Sequence[SpanContext] = (),
    ) -> SpanContext:
        """A span that is over already. Times are in nanoseconds since 1970."""
        span = self.begin(name, parent, "internal", attributes, links, began_ns)
        span.end(max(began_ns, ended_ns))
        return span.get_span_context()

    def statement(self, query: str, elapsed_s: float, error: BaseException | None) -> None:
        """The span of a statement that has just ended; nothing outside of a span that is kept."""
        parent = self.present()
        if parent is None:
            return
        ended_ns = time.time_ns()
        summary = summary_of(query)
        attributes = {
            "db.system.name": "postgresql",
            "db.query.summary": summary,
            "db.query.text": query.strip()[:STATEMENT_MAX],
        }
        span = self.begin(summary, parent, "client", attributes, began_ns=ended_ns - int(elapsed_s * NS))
        if error is not None:
            self.failed(span, type(error).__name__)
        span.end(ended_ns)


class OnceAMinute(logging.Filter):
    """Lets each message pass once a minute: a collector that is away, and spans that find no room, say so all the
    time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._passed: dict[str, float] = {}
        self._clock = clock

    def filter(self, record: logging.LogRecord) -> bool:
        now, last = self._clock(), self._passed.get(str(record.msg))
        if last is not None and now - last < MINUTE_S:
            return False
        self._passed[str(record.msg)] = now
        return True


def within(parent: SpanContext) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())


@lru_cache(maxsize=1024)
def summary_of(query: str) -> str:
    """A statement in two words: `SELECT pool`."""
    verb = query.split(None, 1)[0].upper() if query.strip() else "?"
    target = TARGET.search(query)
    return f"{verb} {target[1]}" if target else verb
