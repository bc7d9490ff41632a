"""Connections of the one address that the gateway has handed over to this service.

The service answers the requests that belong to it. When another process's request begins, and all before it is
answered, it gives the connection back to the gateway. So each request reaches one parser, that of the process which
answers it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar

from shared.http.connection_limits import IDLE_S, AwaitedPart, ConnectionLimits
from shared.http.handover import Line, duplicate
from shared.http.owners import NOBODY, owner
from shared.http.uvicorn_protocol import LimitedProtocol

FLUSH_S, FLUSH_MAX_S = 0.01, 1.0  # between two looks whether a response has left: at first, and at most
HEAD_END = b"\r\n\r\n"
# Where the parser is: between two requests, in a head, in a body.
BETWEEN, HEAD, BODY = range(3)


class HandedProtocol(LimitedProtocol):
    """A client's connection that another process has accepted. `handed_protocol` makes a subclass that has the line to
    the gateway. `begun`: what the gateway has read of it.

    The parser never gets bytes beyond the end of a request before it is known whose the next one is.
    """

    service: ClassVar[str]
    line: ClassVar[Line]

    def __init__(self, *arguments: Any, begun: bytes, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.timeout_keep_alive = IDLE_S
        self._begun = begun
        self._next: bytes | None = None  # another process's request, which waits until all before it is answered
        self._place, self._left = BETWEEN, 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        begun, self._begun = self._begun, b""
        self.data_received(begun)

    def data_received(self, data: bytes) -> None:
        if self._next is not None:
            self._hold(self._next + data)
            return
        while data and not self._reads_no_more and not self.transport.is_closing():
            data = self._begin(data) if self._place == BETWEEN else self._go_on(data)

    def on_message_begin(self) -> None:
        self._place = HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._place, self._left = BODY, -1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._place = BETWEEN
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._begun or self._place == HEAD or self._next is not None:  # the connection is not idle
            self._unset_keepalive_if_required()
        if self._next is not None:
            self._give_back()

    def shutdown(self) -> None:
        """The service stops: the connection goes back to the gateway after the last answer, and waits there. If a
        request has begun, the connection ends with its answer."""
        if self._place != BETWEEN or self._begun:
            super().shutdown()
        elif self._next is None and not self._reads_no_more:
            self._hold(b"")

    def awaited(self) -> AwaitedPart | None:
        return None if self._next is not None else super().awaited()

    def _begin(self, data: bytes) -> bytes:
        """Begins a request with the data. Answers what is left of them."""
        cycle = self.cycle
        if cycle is not None and not cycle.keep_alive:  # the connection ends with the last response
            return b""
        data, self._begun, self._head_bytes = self._begun + data, b"", 0
        whose = owner(data)
        if whose is None:
            self._unset_keepalive_if_required()
            self._begun, self._head_bytes = data, len(data)
            return b""
        if whose not in (self.service, NOBODY):
            self._hold(data)
            return b""
        end = data.find(HEAD_END)
        return self._parse(data, len(data) if end < 0 else end + len(HEAD_END))

    def _go_on(self, data: bytes) -> bytes:
        """Goes on with a request. A head and chunks end with a line; another body has a length."""
        if self._place == BODY and self._left == -1:
            self._left = length_of(self.scope["headers"])
        if self._place == HEAD or self._left < 0:
            return self._parse(data, data.find(b"\n") + 1 or len(data))
        size = min(self._left, len(data))
        self._left -= size
        return self._parse(data, size)

    def _parse(self, data: bytes, size: int) -> bytes:
        if size >= len(data):
            super().data_received(data)
            return b""
        super().data_received(data[:size])
        return data[size:]

    def _hold(self, data: bytes) -> None:
        """Keeps the data, which begin with another process's request, and reads no more."""
        self._next, self.flow.read_paused = data, False  # so that nothing but this module reads on
        self.transport.pause_reading()
        self._unset_keepalive_if_required()
        self._give_back()

    def _give_back(self, look_again_s: float = FLUSH_S) -> None:
        """Gives the connection back if all before `_next` is answered, and every byte of the answers has left. If some
        have not, looks again."""
        cycle, transport = self.cycle, self.transport
        is_answered = cycle is None or (cycle.response_complete and not cycle.more_body)
        if self._next is None or self.pipeline or not is_answered or transport.is_closing():
            return
        if transport.get_write_buffer_size():
            self.loop.call_later(look_again_s, self._give_back, min(2 * look_again_s, FLUSH_MAX_S))
            return
        self.line.give(duplicate(transport), self._next)
        self._next = None
        self._reads_no_more = True
        transport.close()


def length_of(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The length of a body; -2 if it comes in chunks. The parser has checked the headers."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return -2


def handed_protocol(limits: ConnectionLimits, service: str, line: Line) -> type[HandedProtocol]:
    """The class of connections that a service gets over the line."""
    return type("HandedProtocolWithLine", (HandedProtocol,), {"limits": limits, "service": service, "line": line})
