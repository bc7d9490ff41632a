"""Traces: whether they are on, and which positions have one."""

import logging
import subprocess
import sys
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.command.relay_traces import RelayTraces
from shared import tracing
from shared.event_store import Stored
from shared.opentelemetry import OnceAMinute, Traces, summary_of
from shared.traced_positions import NOTED_MAX, TOLD_MAX, Batch, Batches, Noted, TracedPositions, heard, told

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def noted(first: int, last: int) -> Noted:
    return Noted(first, last, TRACEPARENT, 1)


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, True),
    ],
)
def test_traces_are_off_unless_an_exporter_is_named(environment: dict[str, str], asked: bool) -> None:
    assert tracing.asked_for(environment) is asked


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER: 'zipkin' is none of otlp, console and none"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "'grpc' is not http/protobuf"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(environment: dict[str, str], why: str) -> None:
    with pytest.raises(tracing.CannotTrace, match=why):
        tracing.asked_for(environment)


def test_without_the_extra_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "shared.opentelemetry")
    with pytest.raises(tracing.CannotTrace, match=r"install hourbook\[traces\], or set OTEL_TRACES_EXPORTER=none"):
        tracing.begin("query", {"OTEL_TRACES_EXPORTER": "otlp"})


def test_where_traces_are_off_nothing_is_made_and_no_header_is_sent() -> None:
    with tracing.span("read") as span:
        tracing.note("a", 1)
        tracing.failed("b")
    assert (span, tracing.traces(), tracing.headers(), tracing.trace_id()) == (None, None, {}, "")


def test_a_service_without_traces_does_not_import_opentelemetry() -> None:
    code = (
        "import sys, services.command.app, services.query.app, services.projector.app, services.notify.app\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0


def test_the_commands_of_a_batch_are_found_by_its_positions() -> None:
    positions = TracedPositions()
    for one in (noted(8, 9), noted(1, 3), noted(4, 4)):
        positions.note(one)
    assert positions.between(3, 4) == [noted(1, 3), noted(4, 4)]
    assert positions.between(5, 7) == []
    assert positions.take_up_to(8) == [noted(1, 3), noted(4, 4)]
    assert positions.between(1, 100) == [noted(8, 9)]


def test_a_command_that_is_told_again_counts_once() -> None:
    positions = TracedPositions()
    positions.note(noted(1, 3))
    positions.note(noted(1, 3))
    assert positions.take_up_to(3) == [noted(1, 3)]
    positions.note(noted(1, 3))
    assert positions.take_up_to(3) == []


def test_only_the_newest_commands_are_remembered() -> None:
    positions = TracedPositions()
    for position in range(1, 2 * NOTED_MAX):
        positions.note(noted(position, position))
    assert len(positions.between(1, 2 * NOTED_MAX)) <= NOTED_MAX
    assert positions.between(2 * NOTED_MAX - 1, 2 * NOTED_MAX) == [noted(2 * NOTED_MAX - 1, 2 * NOTED_MAX - 1)]


def test_a_batch_is_found_by_a_position_in_it() -> None:
    batches = Batches()
    assert (batches.last, batches.holding(1)) == (0, None)
    for first, last in ((1, 5), (6, 6)):
        batches.add(Batch(first, last, 10, 20))
    assert (batches.last, batches.holding(5), batches.holding(7)) == (6, Batch(1, 5, 10, 20), None)


def test_a_message_tells_the_commands_and_is_empty_without_one() -> None:
    assert told([]) == b""
    assert heard(told([noted(1, 3)])) == [noted(1, 3)]
    assert len(heard(told(noted(position, position) for position in range(1, 2 * TOLD_MAX)))) == TOLD_MAX


@pytest.mark.parametrize(
    "body", [b"", b"x", b"{}", b"[[1]]", b"[[1,2,3,4]]", b'[[0,1,"00",1]]', b'[[1,1,"%b",1]]' % (b"0" * 56)]
)
def test_a_message_of_another_form_tells_nothing(body: bytes) -> None:
    assert heard(body) == []


def stored(position: int) -> Stored:
    return Stored(position, "project/a", 1, UUID(int=1), None, b"", "ProjectCreated", b"{}", 0)


@pytest.mark.parametrize("when", ["before its batch", "after the news", "while it is published", "after its batch"])
def test_whenever_a_doorbell_rings_its_command_has_one_span_and_is_told_once(when: str) -> None:
    exporter, one, relay_told = InMemorySpanExporter(), noted(1, 1), list[bytes]()
    traces = Traces("command", exporter=exporter)
    relay = RelayTraces(traces)

    def now(moment: str) -> None:
        if moment == when:
            relay_told.append(relay.rung(told([one])))

    now("before its batch")
    relay_told.append(relay.news([stored(1)]))
    now("after the news")
    with relay.publishing([stored(1)]):
        now("while it is published")
    relay_told.append(relay.late_news())
    now("after its batch")
    traces.end()
    assert [noted for body in relay_told for noted in heard(body)] == [one]
    assert [span.name for span in exporter.get_finished_spans()] == ["publish HOURBOOK"]


@pytest.mark.parametrize(
    ("query", "summary"),
    [
        ("SELECT 1", "SELECT"),
        ("\n SELECT a FROM event WHERE b", "SELECT event"),
        ("INSERT INTO webhook (id) VALUES ($1)", "INSERT webhook"),
        ("UPDATE notice_head SET published = $1", "UPDATE notice_head"),
        ("", "?"),
    ],
)
def test_a_statement_is_named_in_two_words(query: str, summary: str) -> None:
    assert summary_of(query) == summary


def test_a_collector_that_is_away_is_told_once_a_minute() -> None:
    clock = iter((0.0, 0.0, 30.0, 30.0, 59.0, 59.0, 61.0, 61.0))
    once = OnceAMinute(lambda: next(clock))
    record = logging.LogRecord("opentelemetry", logging.WARNING, "", 1, "away: %s", ("x",), None)
    other = logging.LogRecord("opentelemetry", logging.WARNING, "", 1, "queue full", (), None)
    assert [(once.filter(record), once.filter(other)) for _ in range(4)] == [
        (True, True),
        (False, False),
        (False, False),
        (True, True),
    ]


class Kept:
    """An exporter that keeps the spans."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def export(self, spans: Any) -> None:
        self.spans += spans

    def shutdown(self) -> None: ...


def test_an_error_is_noted_by_its_class_and_not_by_its_words() -> None:
    kept = Kept()
    traces = Traces("test", exporter=kept)  # type: ignore[arg-type]
    with pytest.raises(LookupError), traces.span("read"):
        raise LookupError("lovelace@example.org")
    with traces.span("outer"):
        traces.statement("SELECT name FROM person WHERE id = $1", 0.001, ValueError("lovelace"))
    traces.statement("SELECT 1", 0.001, None)  # outside of a span: nothing
    traces.end()
    assert [span.name for span in kept.spans] == ["read", "SELECT person", "outer"]
    assert kept.spans[0].attributes == {"error.type": "LookupError"}
    assert "lovelace" not in "".join(span.to_json() for span in kept.spans)
