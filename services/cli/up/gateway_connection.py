"""A connection that the gateway serves itself, until a request begins on it that a service can answer alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp.http_parser import RawRequestMessage

from shared.http.aiohttp_server import AiohttpConnection

HEAD_END = b"\r\n\r\n"


class GatewayConnection(AiohttpConnection):
    """`begun`: what was read of the connection before. `hand_over` gets a connection on which a request begins, and its
    first bytes; it answers whether it has taken the connection.

    aiohttp does not say where a request ends. So only a connection whose requests came alone and whole can be handed
    over; another one stays here until it ends."""

    __slots__ = ("_begun", "_hand_over", "_is_between")

    def __init__(
        self,
        *arguments: Any,
        begun: bytes = b"",
        hand_over: Callable[[asyncio.BaseTransport, bytes], bool] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._begun, self._hand_over = begun, hand_over
        self._is_between = True  # no byte of a request has come that is not served

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._begun:  # when aiohttp waits for a request
            asyncio.get_running_loop().call_soon(self._parse, self._begun)

    def data_received(self, data: bytes) -> None:
        if self._hand_over is None:
            super().data_received(data)
            return
        transport: Any = self.transport
        self._is_between = self._is_between and self._waits_for_head()
        has_sent = transport is not None and not transport.get_write_buffer_size()
        if self._is_between and has_sent and self._hand_over(transport, data):
            self.force_close()
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        parsed = self._request_count
        super().data_received(data)
        if self._is_between:
            self._is_between = self._request_count == parsed + 1 and len(data) == self._length_of_request(data)

    def _length_of_request(self, data: bytes) -> int:
        """How many bytes the one request has that begins with the data; 0 if its body comes in chunks."""
        message = self._messages[-1][0] if self._messages else None
        if not isinstance(message, RawRequestMessage) or "Transfer-Encoding" in message.headers:
            return 0
        return data.find(HEAD_END) + len(HEAD_END) + int(message.headers.get("Content-Length", "0"))
