"""An answer leaves when the stream has its event, in the term in which it was stored, and not after the patience."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from services.command.handler.errors import NotOnStream
from services.command.on_stream import OnStream

TERM, NEXT = UUID(int=1), UUID(int=2)
MOMENT_S = 0.05
BOUND_S = 30


async def test_answers_leave_in_the_order_of_their_positions() -> None:
    on_stream, left = OnStream(), list[int]()

    async def answer(position: int) -> None:
        await on_stream.has(TERM, position)
        left.append(position)

    answers = [asyncio.create_task(answer(position)) for position in (3, 1, 2, 5)]
    await asyncio.sleep(0)
    on_stream.reached(TERM, 3)
    await asyncio.gather(*answers[:3])
    assert (left, on_stream.waiting) == ([1, 2, 3], 1)
    await on_stream.has(TERM, 3)  # does not wait
    on_stream.reached(TERM, 7)
    await answers[3]
    assert left == [1, 2, 3, 5]


async def test_the_position_of_another_term_is_no_answer() -> None:
    """After a failover, the event of another primary may have the same position."""
    on_stream = OnStream()
    on_stream.reached(TERM, 4)
    answer = asyncio.create_task(on_stream.has(TERM, 5))
    await asyncio.sleep(MOMENT_S)
    on_stream.reached(NEXT, 9)
    with pytest.raises(NotOnStream, match="promoted"):
        await answer
    later = asyncio.create_task(on_stream.has(TERM, 5))
    await asyncio.sleep(MOMENT_S)
    assert not later.done()
    later.cancel()


async def test_while_an_answer_waits_the_stream_is_looked_at_until_the_patience_is_over() -> None:
    looks = list[int]()
    on_stream = OnStream(patience_s=0.5, want_look=lambda: looks.append(1))
    async with asyncio.timeout(BOUND_S):
        with pytest.raises(NotOnStream) as refused:
            await on_stream.has(TERM, 1)
    assert (refused.value.code, refused.value.status) == ("not_on_stream", 503)
    assert (len(looks) >= 1, on_stream.waiting) == (True, 0)
