"""Traces, by OpenTelemetry. Off by default: then OpenTelemetry is not imported, and each call here is one comparison.

OpenTelemetry's own settings switch them on (OTEL_TRACES_EXPORTER=otlp) and say where they go and how many are kept. It
is an extra of the package: `pip install hourbook[traces]`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.opentelemetry import Kind, Traces

EXPORTER, PROTOCOL, DISABLED = "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_SDK_DISABLED"
PROTOCOL_OF_TRACES = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
HTTP = "http/protobuf"

_traces: Traces | None = None
_NOTHING: AbstractContextManager[None] = contextlib.nullcontext()


class CannotTrace(Exception):
    """Traces were asked for and cannot be made. The message names the setting and says what to do."""


def begin(service: str, environment: Mapping[str, str]) -> None:
    """Switches traces on for this process if the environment asks for them. `service` is a word such as `command`.
    Raises CannotTrace."""
    global _traces
    if not asked_for(environment):
        return
    try:
        from shared.opentelemetry import Traces
    except ModuleNotFoundError as missing:
        raise CannotTrace(
            f"{EXPORTER} asks for traces, and OpenTelemetry is not installed (no module {missing.name}): install "
            f"hourbook[traces], or set {EXPORTER}=none"
        ) from None
    _traces = Traces(service, console=environment[EXPORTER].strip() == "console")


def asked_for(environment: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces. Raises CannotTrace for what Hourbook cannot do."""
    exporter = environment.get(EXPORTER, "").strip()
    if exporter in ("", "none") or environment.get(DISABLED, "").strip().lower() == "true":
        return False
    if exporter not in ("otlp", "console"):
        raise CannotTrace(f"{EXPORTER}: {exporter[:100]!r} is none of otlp, console and none")
    protocol = environment.get(PROTOCOL_OF_TRACES) or environment.get(PROTOCOL) or HTTP
    if exporter == "otlp" and protocol != HTTP:
        raise CannotTrace(f"{PROTOCOL}: {protocol[:100]!r} is not {HTTP}: Hourbook sends traces over HTTP only")
    return True


def end() -> None:
    """Sends the spans that are not sent yet. Takes two seconds at most."""
    global _traces
    if _traces is not None:
        ending, _traces = _traces, None
        ending.end()


def traces() -> Traces | None:
    """The traces of this process; None where they are off."""
    return _traces


def span(
    name: str, attributes: Mapping[str, Any] | None = None, kind: Kind = "internal"
) -> AbstractContextManager[object]:
    """A span around the block, inside of the present one. Where traces are off, nothing."""
    return _NOTHING if _traces is None else _traces.span(name, attributes, kind)


def note(name: str, value: str | int | bool) -> None:
    """An attribute of the present span."""
    if _traces is not None:
        _traces.note(name, value)


def failed(kind: str) -> None:
    """Marks the present span as failed. `kind` is a word of few values."""
    if _traces is not None:
        _traces.fail(kind)


def headers() -> dict[str, str]:
    """The headers that make what a receiver does a part of the present trace. None where traces are off."""
    return {} if _traces is None else _traces.headers()


def trace_id() -> str:
    """The id of the present trace, 32 hexadecimal digits; empty where there is none."""
    return "" if _traces is None else _traces.trace_id()
