import asyncio

import pytest

import shared.tasks
from shared.tasks import end_tasks, side_by_side


@pytest.fixture(autouse=True)
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.tasks, "AGAIN_S", 0.01)


async def loses(cancellations: int) -> None:
    """What `asyncio.wait_for` does to its caller if the cancellation comes together with the result."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if not cancellations:
                raise
            cancellations -= 1


async def fails(error: Exception) -> None:
    raise error


async def test_a_task_that_loses_its_cancellation_is_asked_again() -> None:
    tasks = [asyncio.create_task(loses(times)) for times in (0, 1, 3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end_tasks(*tasks)
    assert all(task.cancelled() for task in tasks)


async def test_what_ended_before_is_left_as_it_is() -> None:
    failed = asyncio.create_task(fails(ValueError("no")))
    await asyncio.wait([failed])
    await end_tasks(failed)
    assert str(failed.exception()) == "no"
    await end_tasks()


async def test_when_one_work_ends_so_do_the_others_and_its_error_is_raised() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(ValueError, match="no"):
        await side_by_side(loses(1), fails(ValueError("no")))
    await side_by_side(loses(1), asyncio.sleep(0))
    assert asyncio.all_tasks() == before


async def test_works_end_with_the_one_who_runs_them() -> None:
    before = asyncio.all_tasks()
    task = asyncio.create_task(side_by_side(loses(1), loses(2)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
