"""The form of the log: text for people, or one JSON object a line (HOURBOOK_LOG_FORMAT=json)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import msgspec

from shared import tracing
from shared.call_id import CALL

SETTING = "HOURBOOK_LOG_FORMAT"
TEXT = "%(asctime)s %(levelname)s %(message)s"


class BadLogFormat(Exception):
    """HOURBOOK_LOG_FORMAT is neither `text` nor `json`."""


def formatter_of(environment: Mapping[str, str], service: str) -> logging.Formatter:
    """The formatter that the environment asks for. Raises BadLogFormat."""
    given = environment.get(SETTING) or "text"
    if given not in ("text", "json"):
        raise BadLogFormat(f"{SETTING}: {given[:100]!r} is neither text nor json")
    return JsonLines(service) if given == "json" else TextLines(TEXT)


class TextLines(logging.Formatter):
    """Time, level, message. A line that a request caused ends with its call id."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        line, call = super().formatMessage(record), CALL.get()
        return f"{line} (call {call})" if call else line


class JsonLines(logging.Formatter):
    """A JSON object without a line break: `time` (RFC 3339, UTC), `level`, `service`, `logger`, `message`; `call` and
    `trace` in a request that has them; `exception` with the traceback if there is one."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if call := CALL.get():
            line["call"] = call
        if trace := tracing.trace_id():
            line["trace"] = trace
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode(errors="replace")


def log_uncaught() -> None:
    """Sends an error that ends the process to the log, so that its traceback is one line of JSON too."""

    def uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, where)
        else:
            logging.getLogger().critical("%s: %s", kind.__name__, error, exc_info=(kind, error, where))

    sys.excepthook = uncaught
