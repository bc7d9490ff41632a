"""A streamed response ends when its client leaves, or stops reading."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from shared.http.responses import PIECE_BYTES, EncodedResponse, StreamedResponse


class Body:
    """Endless pieces. `closed` is set when nobody reads them any more."""

    def __init__(self) -> None:
        self.made, self.closed = 0, False

    async def pieces(self) -> AsyncGenerator[bytes]:
        try:
            while True:
                self.made += 1
                yield b"piece"
        finally:
            self.closed = True


async def stays() -> Any:
    await asyncio.Event().wait()


async def test_a_reader_who_takes_nothing_is_left() -> None:
    body, taken = Body(), []

    async def send(message: Any) -> None:
        taken.append(message)
        if len(taken) == 3:
            await asyncio.Event().wait()

    response = StreamedResponse[bytes](body.pieces(), media_type="text/plain", timeout_s=0.01)
    await asyncio.wait_for(response.to_asgi_response()({}, stays, send), 5)
    assert (body.made, body.closed) == (2, True)
    assert all(message.get("more_body", True) for message in taken)  # the last message says that more follows


async def test_a_reader_who_goes_ends_the_making() -> None:
    body, left = Body(), asyncio.Event()

    async def receive() -> Any:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        await asyncio.sleep(0)
        if body.made == 5:
            left.set()

    response = StreamedResponse[bytes](body.pieces(), media_type="text/plain")
    await asyncio.wait_for(response.to_asgi_response()({}, receive, send), 5)
    assert body.closed


async def test_an_error_while_it_is_made_breaks_the_answer_off() -> None:
    async def pieces() -> AsyncGenerator[bytes]:
        yield b"1"
        raise LookupError("no more")

    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(LookupError):
        await StreamedResponse[bytes](pieces(), media_type="text/plain").to_asgi_response()({}, stays, send)
    assert sent[-1] == {"type": "http.response.body", "body": b"1", "more_body": True}


async def test_a_reader_who_takes_nothing_of_a_large_body_is_left() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 3:
            await asyncio.Event().wait()

    response = EncodedResponse[bytes](bytes(9 * PIECE_BYTES), timeout_s=0.01)
    await asyncio.wait_for(response.to_asgi_response()({}, stays, send), 5)
    assert [len(message.get("body", b"")) for message in sent] == [0, PIECE_BYTES, PIECE_BYTES]
    assert dict(sent[0]["headers"])[b"content-length"] == b"%d" % (9 * PIECE_BYTES)


async def test_a_large_body_is_whole() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    body = bytes(range(256)) * (9 * PIECE_BYTES // 256)
    for cut in (0, 1, PIECE_BYTES, PIECE_BYTES + 1, len(body) - 1, len(body)):
        sent.clear()
        await EncodedResponse[bytes](body[:cut], body[cut:]).to_asgi_response()({}, stays, send)
        assert b"".join(message.get("body", b"") for message in sent) == body
        assert [message.get("more_body") for message in sent[1:]] == [True] * (len(sent) - 2) + [False]
        assert all(len(message.get("body", b"")) <= PIECE_BYTES for message in sent)


async def test_whoever_counts_what_is_answered_is_told_of_the_end_also_of_a_reader_who_has_gone() -> None:
    body, ended = Body(), []

    async def gone_at_once() -> Any:
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        await asyncio.sleep(0)

    response = StreamedResponse[bytes](body.pieces(), media_type="text/plain", on_end=lambda: ended.append(True))
    await asyncio.wait_for(response.to_asgi_response()({}, gone_at_once, send), 5)
    assert ended == [True]
