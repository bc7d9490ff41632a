"""Admission to costly work: a limit at once, one queue for the others, limited in length and time."""

import asyncio
from typing import Any

import pytest

from services.query.answers.admission import Admission, TooBusy

BOUND_S = 5


class Guest:
    """A task that asks for admission, and stays until `leave`."""

    def __init__(self, admission: Admission, weight: int = 1, receive: Any = None) -> None:
        self.inside, self._leave = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._stay(admission, weight, receive))

    async def _stay(self, admission: Admission, weight: int, receive: Any) -> None:
        async with admission.admitted(weight, receive):
            self.inside.set()
            await self._leave.wait()

    async def leave(self) -> None:
        self._leave.set()
        await self.task


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_as_many_as_may_are_inside_and_the_next_comes_when_one_leaves() -> None:
    admission = Admission(2, 10, BOUND_S, "guests")
    guests = [Guest(admission) for _ in range(40)]
    await settled()
    assert [guest.inside.is_set() for guest in guests[:13]] == [True] * 2 + [False] * 11
    refused = [guest for guest in guests if guest.task.done()]
    assert (len(refused), admission.waiting) == (28, 10)
    assert {type(guest.task.exception()) for guest in refused} == {TooBusy}
    for place, guest in enumerate(guests[:12]):
        await settled()
        assert [one.inside.is_set() for one in guests[:12]] == [one < place + 2 for one in range(12)]  # in turn
        await guest.leave()
    assert admission.waiting == 0


async def test_who_weighs_more_is_not_passed_by_who_weighs_less() -> None:
    admission = Admission(10, 10, BOUND_S, "guests")
    first, heavy, light, nothing = (Guest(admission, weight) for weight in (6, 99, 1, 0))
    await settled()
    inside = [guest.inside.is_set() for guest in (first, heavy, light, nothing)]
    assert inside == [True, False, False, True]
    await first.leave()
    await settled()
    assert (heavy.inside.is_set(), light.inside.is_set()) == (True, False)
    for guest in (heavy, light, nothing):
        await guest.leave()


async def test_who_has_waited_too_long_is_told_so_and_those_behind_move_up() -> None:
    admission = Admission(10, 10, 0.5, "guests")
    inside, heavy = Guest(admission, 5), Guest(admission, 10)
    await asyncio.sleep(0.25)
    light = Guest(admission, 5)
    with pytest.raises(TooBusy, match="guests"):
        await asyncio.wait_for(heavy.task, BOUND_S)
    await asyncio.wait_for(light.inside.wait(), BOUND_S)
    await inside.leave()
    await light.leave()
    async with admission.admitted(10):  # all capacity is free again
        assert admission.waiting == 0


async def test_a_reader_who_has_gone_is_taken_out_of_the_line() -> None:
    async def receive() -> Any:
        await left.wait()
        return {"type": "http.disconnect"}

    admission, left = Admission(1, 10, BOUND_S, "guests"), asyncio.Event()
    inside, going, next_one = Guest(admission), Guest(admission, receive=receive), Guest(admission)
    await settled()
    assert admission.waiting == 2
    left.set()
    with pytest.raises(TooBusy):
        await asyncio.wait_for(going.task, BOUND_S)
    assert admission.waiting == 1
    await inside.leave()
    await asyncio.wait_for(next_one.inside.wait(), BOUND_S)
    await next_one.leave()


async def test_one_who_is_ended_in_the_moment_of_being_let_in_takes_no_place() -> None:
    admission = Admission(1, 10, BOUND_S, "guests")
    inside, ended, next_one = Guest(admission), Guest(admission), Guest(admission)
    await settled()
    await inside.leave()  # which lets the next in
    ended.task.cancel()
    await asyncio.wait_for(next_one.inside.wait(), BOUND_S)
    await next_one.leave()
    async with admission.admitted():
        assert admission.waiting == 0
