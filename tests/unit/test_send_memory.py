"""What is held for readers is bounded, and whoever takes what is sent is never broken off for one who does not."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.http.send_memory import Sending, TooMuchUnderWay, UnderWay


class Reader:
    """Holds some bytes for as long as it is not broken off; `stalled` is one who takes nothing of a piece."""

    def __init__(self, room: UnderWay, held: int, *, stalled: bool = False) -> None:
        self.done = asyncio.Event()
        self._stalled = stalled
        self.task = asyncio.create_task(self._read(room, held))

    async def _read(self, room: UnderWay, held: int) -> None:
        with room.sending(held) as sending:
            await self._take(sending)

    async def _take(self, sending: Sending) -> None:
        if self._stalled:
            async with sending.handing_over(10, 60):
                await self.done.wait()
        while not self.done.is_set():
            async with sending.handing_over(10, 60):
                await asyncio.sleep(0)


@pytest.fixture
async def readers() -> AsyncIterator[list[Reader]]:
    made: list[Reader] = []
    yield made
    for reader in made:
        reader.done.set()
    await asyncio.gather(*(reader.task for reader in made), return_exceptions=True)


async def test_the_one_who_has_taken_nothing_for_longest_makes_room(readers: list[Reader]) -> None:
    room = UnderWay(1000, stalled_s=0.02)
    readers += [Reader(room, 300), Reader(room, 300, stalled=True)]
    await asyncio.sleep(0.05)
    readers.append(Reader(room, 300, stalled=True))
    await asyncio.sleep(0)
    with room.sending(300):
        await asyncio.sleep(0.01)
        assert [reader.task.done() for reader in readers] == [False, True, False]
        assert isinstance(readers[1].task.exception(), TimeoutError)
        assert room.held <= 1000


async def test_where_all_take_the_one_that_comes_is_told_to_ask_again(readers: list[Reader]) -> None:
    room = UnderWay(1000, stalled_s=0.02)
    readers += [Reader(room, 300) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(TooMuchUnderWay), room.sending(300):
        pass
    with room.sending(10):
        assert not any(reader.task.done() for reader in readers)


async def test_nothing_is_held_when_all_have_gone(readers: list[Reader]) -> None:
    room = UnderWay(100, stalled_s=0.0)
    readers += [Reader(room, 40, stalled=True) for _ in range(7)]
    await asyncio.sleep(0.02)
    assert 0 < room.held <= 150  # each makes room with its piece, too
    for reader in readers:
        reader.done.set()
    await asyncio.gather(*(reader.task for reader in readers), return_exceptions=True)
    assert room.held == 0


async def test_an_answer_larger_than_all_the_room_is_sent_when_there_is_no_other() -> None:
    room = UnderWay(100)
    with room.sending(500):
        assert room.held == 500


async def test_room_is_made_also_in_the_moment_in_which_a_reader_is_left_anyway() -> None:
    room, left = UnderWay(1000, stalled_s=0.0), asyncio.Event()

    async def stall() -> None:
        with room.sending(900) as sending:
            try:
                async with sending.handing_over(10, 0):  # over at once, and heard of in the next turn of the loop
                    await left.wait()
            except TimeoutError:
                left.set()

    stalling = asyncio.create_task(stall())
    await asyncio.sleep(0)
    while room.held and not stalling.cancelling():
        await asyncio.sleep(0)
    with room.sending(500):
        assert room.held == 500
    await stalling
    assert left.is_set()
    assert not room.held
