"""The memory for large answers has a limit. A client that reads keeps its answer; one that does not may lose it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.http.send_memory import SendMemory, TooMuchUnderWay, Transfer


class Reader:
    """A client whose answer holds `held` bytes. A `stalled` one reads nothing of its piece."""

    def __init__(self, memory: SendMemory, held: int, *, stalled: bool = False) -> None:
        self.done = asyncio.Event()
        self._stalled = stalled
        self.task = asyncio.create_task(self._read(memory, held))

    async def _read(self, memory: SendMemory, held: int) -> None:
        with memory.transfer(held) as transfer:
            await self._take(transfer)

    async def _take(self, transfer: Transfer) -> None:
        if self._stalled:
            async with transfer.sending_piece(10, 60):
                await self.done.wait()
        while not self.done.is_set():
            async with transfer.sending_piece(10, 60):
                await asyncio.sleep(0)


@pytest.fixture
async def readers() -> AsyncIterator[list[Reader]]:
    made: list[Reader] = []
    yield made
    for reader in made:
        reader.done.set()
    await asyncio.gather(*(reader.task for reader in made), return_exceptions=True)


async def test_the_one_who_has_taken_nothing_for_longest_makes_room(readers: list[Reader]) -> None:
    memory = SendMemory(1000, stalled_s=0.02)
    readers += [Reader(memory, 300), Reader(memory, 300, stalled=True)]
    await asyncio.sleep(0.05)
    readers.append(Reader(memory, 300, stalled=True))
    await asyncio.sleep(0)
    with memory.transfer(300):
        await asyncio.sleep(0.01)
        assert [reader.task.done() for reader in readers] == [False, True, False]
        assert isinstance(readers[1].task.exception(), TimeoutError)
        assert memory.held <= 1000


async def test_where_all_take_the_one_that_comes_is_told_to_ask_again(readers: list[Reader]) -> None:
    memory = SendMemory(1000, stalled_s=0.02)
    readers += [Reader(memory, 300) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(TooMuchUnderWay), memory.transfer(300):
        pass
    with memory.transfer(10):
        assert not any(reader.task.done() for reader in readers)


async def test_nothing_is_held_when_all_have_gone(readers: list[Reader]) -> None:
    memory = SendMemory(100, stalled_s=0.0)
    readers += [Reader(memory, 40, stalled=True) for _ in range(7)]
    await asyncio.sleep(0.02)
    assert 0 < memory.held <= 150  # a piece makes room, too
    for reader in readers:
        reader.done.set()
    await asyncio.gather(*(reader.task for reader in readers), return_exceptions=True)
    assert memory.held == 0


async def test_an_answer_larger_than_all_the_room_is_sent_when_there_is_no_other() -> None:
    memory = SendMemory(100)
    with memory.transfer(500):
        assert memory.held == 500


async def test_room_is_made_also_in_the_moment_in_which_a_reader_is_left_anyway() -> None:
    memory, left = SendMemory(1000, stalled_s=0.0), asyncio.Event()

    async def stall() -> None:
        with memory.transfer(900) as transfer:
            try:
                async with transfer.sending_piece(10, 0):  # times out at once; the loop raises it in its next turn
                    await left.wait()
            except TimeoutError:
                left.set()

    stalling = asyncio.create_task(stall())
    await asyncio.sleep(0)
    while memory.held and not stalling.cancelling():
        await asyncio.sleep(0)
    with memory.transfer(500):
        assert memory.held == 500
    await stalling
    assert left.is_set()
    assert not memory.held
