"""The log: text, or one JSON object a line, with the call and the trace of a request."""

import json
import logging
import sys
from datetime import UTC, datetime

import pytest

from shared.call_id import CALL, call_id_in, instance_of_call, new_call_id
from shared.http.problem_document import document
from shared.log_format import BadLogFormat, formatter_of


def record(message: str = "a\nline", error: Exception | None = None) -> logging.LogRecord:
    made = logging.LogRecord("services.query", logging.WARNING, "", 1, message, (), (type(error), error, None))
    made.exc_info = None if error is None else made.exc_info
    made.created = datetime(2086, 1, 2, 3, 4, 5, 678000, tzinfo=UTC).timestamp()
    return made


def test_a_line_of_json_has_the_time_the_service_the_message_and_the_call() -> None:
    json_lines = formatter_of({"HOURBOOK_LOG_FORMAT": "json"}, "query")
    token = CALL.set("ada-1")
    try:
        line = json_lines.format(record())
    finally:
        CALL.reset(token)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2086-01-02T03:04:05.678Z",
        "level": "WARNING",
        "service": "query",
        "logger": "services.query",
        "message": "a\nline",
        "call": "ada-1",
    }


def test_a_line_of_json_has_the_traceback_of_an_error_and_no_call_outside_of_a_request() -> None:
    line = json.loads(formatter_of({"HOURBOOK_LOG_FORMAT": "json"}, "query").format(record(error=KeyError("x"))))
    assert "KeyError: 'x'" in line["exception"]
    assert "call" not in line
    assert "trace" not in line


def test_a_line_of_text_ends_with_the_call() -> None:
    text = formatter_of({}, "query")
    assert text.format(record("done")).endswith(" WARNING done")
    token = CALL.set("ada-1")
    try:
        assert text.format(record("done")).endswith(" WARNING done (call ada-1)")
    finally:
        CALL.reset(token)


def test_another_form_of_the_log_is_refused_by_name() -> None:
    with pytest.raises(BadLogFormat, match="HOURBOOK_LOG_FORMAT: 'xml' is neither text nor json"):
        formatter_of({"HOURBOOK_LOG_FORMAT": "xml"}, "query")


@pytest.mark.parametrize("sane", [b"ada-1", b"7b0e6f0c-4d1c-4a8e-9b1e-2f9d6c1a0b11", b"R=1/x@y+z_.:", b"x" * 64])
def test_a_sane_id_of_the_client_is_taken(sane: bytes) -> None:
    assert call_id_in([(b"host", b"h"), (b"x-request-id", sane)]) == sane


@pytest.mark.parametrize("given", [b"", b"x" * 65, b"a b", b'a"b', b"a\x1b[31m", b"\xc3\xa9", b"a\nb"])
def test_another_id_of_the_client_is_replaced(given: bytes) -> None:
    made = call_id_in([(b"x-request-id", given)])
    assert made not in (given, new_call_id())
    assert 10 < len(made) <= 64


def test_a_problem_of_the_server_names_the_call_and_one_of_the_client_does_not() -> None:
    assert instance_of_call() == {}
    token = CALL.set("ada-1")
    try:
        ours, theirs = (json.loads(document(status, "c", "t", "d")) for status in (503, 409))
    finally:
        CALL.reset(token)
    assert ours["instance"] == "urn:hourbook:call:ada-1"
    assert "instance" not in theirs
    assert "instance" not in json.loads(document(500, "c", "t", "d"))


def test_an_uncaught_error_is_one_line_of_json() -> None:
    import subprocess

    code = (
        "import os; os.environ['HOURBOOK_LOG_FORMAT'] = 'json'\n"
        "from shared.process import log_and_trace\n"
        "log_and_trace('query')\n"
        "raise LookupError('no such table')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    (line,) = ended.stderr.splitlines()
    told = json.loads(line)
    assert (ended.returncode, told["level"], told["message"]) == (1, "CRITICAL", "LookupError: no such table")
    assert "Traceback" in told["exception"]
