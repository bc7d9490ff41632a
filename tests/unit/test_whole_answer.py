"""The head of an answer leaves together with its body, and nothing of an answer is held back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.http.uvicorn_protocol import JOINED_MAX, WholeAnswer

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Written(asyncio.Transport):
    """A transport that keeps what is written, and `None` for its end."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[Any] = []

    def write(self, data: Any) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        self.pieces.append(None)

    def is_closing(self) -> bool:
        return None in self.pieces


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ([HEAD, b"body", b"more"], [HEAD + b"body", b"more"]),
        ([HEAD, b""], [HEAD]),
        ([HEAD, bytes(JOINED_MAX), b"more"], [HEAD + bytes(JOINED_MAX), b"more"]),
        ([HEAD, bytes(JOINED_MAX + 1)], [HEAD, bytes(JOINED_MAX + 1)]),
        ([STREAM], [STREAM]),
        ([STREAM, HEAD], [STREAM, HEAD]),  # a body may look like a head
        ([CONTINUE, HEAD, b"body"], [CONTINUE, HEAD, b"body"]),
    ],
    ids=["small", "empty", "longest joined", "long", "stream", "body like a head", "after 100"],
)
def test_a_head_with_a_length_leaves_with_its_body(written: list[bytes], sent: list[bytes]) -> None:
    transport = Written()
    answer = WholeAnswer(transport)
    for piece in written:
        answer.write(piece)
    assert transport.pieces == sent


def test_a_head_without_its_body_leaves_before_the_end() -> None:
    transport = Written()
    answer = WholeAnswer(transport)
    answer.write(HEAD)
    assert not answer.is_closing()
    answer.close()
    assert transport.pieces == [HEAD, None]
    assert answer.is_closing()
