"""The call id: names one HTTP request, in the header X-Request-Id, in the log and in problem documents.

It is not the request id of a command, which comes from the header Idempotency-Key and stays the same when the command
is sent again.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterable
from contextvars import ContextVar

HEADER = "X-Request-Id"
FIELD = HEADER.lower().encode()
# What a client may choose: it goes into logs and headers as it is.
SANE = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,64}")

# The call that this task serves; empty outside of a request.
CALL: ContextVar[str] = ContextVar("call", default="")

# An id is the process's own random digits and a number: a tenth of the time that a random id takes.
_process = secrets.token_hex(8)
_numbers = itertools.count(1)


def call_id_in(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The client's X-Request-Id if it is sane, else a new one. The names of `headers` have small letters."""
    for name, value in headers:
        if name == FIELD and SANE.fullmatch(value):
            return value
    return new_call_id()


def new_call_id() -> bytes:
    return b"%b-%x" % (_process.encode(), next(_numbers))


def instance_of_call() -> dict[str, str]:
    """The member `instance` of a problem document (RFC 9457): the call in which it happened. Empty outside of a
    request."""
    call = CALL.get()
    return {"instance": f"urn:hourbook:call:{call}"} if call else {}
