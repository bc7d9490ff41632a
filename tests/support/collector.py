"""A collector of traces: an HTTP server that takes spans as OTLP, decodes them, and keeps them."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.running import until


class Seen(NamedTuple):
    """A span. Ids are hexadecimal; `parent` is empty for the first span of a trace. `links` are ids of spans."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    began_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    links: tuple[str, ...]


class Collector:
    """The spans that have come. `environment` makes a process send its spans here."""

    def __init__(self, port: int) -> None:
        self.spans: list[Seen] = []
        self.environment = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = attributes_of(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(seen(service, span))

    def of(self, trace: str) -> list[Seen]:
        """The spans of a trace, in the order in which they began."""
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.began_ns)

    def wait(self, trace: str, *names: str) -> dict[str, Seen]:
        """The spans of a trace by their names, as soon as it has all `names`."""
        until(
            lambda: {span.name for span in self.of(trace)} >= set(names), lambda: [span[:2] for span in self.of(trace)]
        )
        return {span.name: span for span in self.of(trace)}


def seen(service: str, span: Any) -> Seen:
    return Seen(
        service,
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        attributes_of(span.attributes),
        tuple(link.span_id.hex() for link in span.links),
    )


def attributes_of(given: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in given}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
