"""A clock that is set forward or back, or differs from the database's: what is refused, and what waits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from services.command.domain import CreateProject
from services.command.domain.commands import Context
from services.command.handler.handler import CommandHandler
from services.command.keys import Keys
from services.command.routes.submit import new_id
from services.command.scheduler import Scheduler
from services.notify.app import Notifier
from services.notify.settings import Settings
from services.notify.webhooks import Retries
from shared.clock import ClockWatch, ClockWrong, since_boot
from shared.identity.principals import trusted
from shared.tasks import end_tasks
from tests.support.backends import as_role, connected
from tests.support.waiting import BOUND_S, until

YEAR_S = 365 * 86_400
KEEP = """
INSERT INTO remembered_answer (request_id, request_hash, status, body, kept_at)
VALUES ($1, '', 409, '', now() - interval '30 days')
"""


class Clock:
    """A clock that is `shift_s` ahead of the real one, and may be set."""

    def __init__(self) -> None:
        self.shift_s = 0.0

    def now(self) -> float:
        return time.time() + self.shift_s

    def instant(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)


@contextlib.asynccontextmanager
async def watching(database_url: str, clock: Clock, **options: Any) -> AsyncIterator[ClockWatch]:
    watch = ClockWatch(as_role(database_url, "command"), now=clock.now, look_s=0.05, **options)
    task = asyncio.create_task(watch.run())
    try:
        await watch.first_look()
        yield watch
    finally:
        await end_tasks(task)


async def create(handler: CommandHandler, clock: Clock, project: str) -> int:
    context = Context(command=uuid4(), principal=trusted("ada"), at=clock.instant())
    return (await handler.submit(project, CreateProject(project=project, name=project), context)).position


@pytest.mark.parametrize(("shift_s", "words"), [(YEAR_S, "365 d ahead of"), (-YEAR_S, "365 d behind")])
async def test_no_command_is_decided_while_this_clock_and_the_databases_differ(
    database_url: str, shift_s: float, words: str
) -> None:
    clock = Clock()
    async with watching(database_url, clock, hold_s=0.1) as watch:
        handler = CommandHandler(as_role(database_url, "command"), clock=watch)
        writing = asyncio.create_task(handler.run())
        assert await create(handler, clock, "gaia") == 1
        clock.shift_s = shift_s
        with pytest.raises(ClockWrong, match="was just set 365 d"):  # at once: no event says a wrong time
            await create(handler, clock, "late")
        await until(lambda: words in (watch.trouble.problem or ""))
        with pytest.raises(ClockWrong, match=words):
            await create(handler, clock, "late")
        clock.shift_s = 0
        await until(lambda: watch.trouble.problem is None)
        assert await create(handler, clock, "late") == 2
        await end_tasks(writing)


async def test_what_only_the_clock_asks_for_waits_after_a_step_that_the_database_agrees_with(database_url: str) -> None:
    """As where all run on one machine, or after a wrong clock was set right: commands go on."""
    passed_s = [0.0]
    async with watching(database_url, Clock(), hold_s=100, steady=lambda: since_boot() + passed_s[0]) as watch:
        passed_s[0] = -3600  # what has passed since the start of the machine says that both clocks were set
        await until(lambda: watch.trouble.problem)
        assert watch.wrong is None
        assert "was set 60 min forward" in (watch.doubtful or "")
        passed_s[0] += 200
        assert watch.doubtful is None


async def test_what_only_the_clock_asks_for_waits_while_the_newest_event_is_ahead_of_the_clock(
    database_url: str,
) -> None:
    ahead = Clock()
    ahead.shift_s = 5 * 3600
    handler = CommandHandler(as_role(database_url, "command"))
    writing = asyncio.create_task(handler.run())
    await create(handler, ahead, "gaia")
    clock = Clock()
    async with watching(database_url, clock) as watch:
        assert watch.wrong is None
        assert "the newest event is 5 h ahead" in (watch.doubtful or "")
        scheduler = Scheduler("postgresql://127.0.0.1:1/none", handler, clock.instant, new_id, clock=watch)
        await scheduler.tick()  # it does not even look for projects
        await end_tasks(writing)
    async with watching(database_url, clock, tolerance_s=0) as trusting:
        assert trusting.doubtful is None


async def test_kept_answers_are_not_forgotten_while_the_clock_is_in_doubt(database_url: str) -> None:
    clock = Clock()
    async with watching(database_url, clock, hold_s=100) as watch, connected(database_url) as connection:
        await connection.execute(KEEP, uuid4())

        async def none_kept() -> bool:
            return not await connection.fetchval("SELECT count(*) FROM remembered_answer")

        clock.shift_s = YEAR_S
        url = as_role(database_url, "command")
        doubting = asyncio.create_task(Keys(url, kept_days=7, kept_max=10, clock=watch).run())
        await asyncio.sleep(0.5)
        assert not await none_kept()
        trusting = asyncio.create_task(Keys(url, kept_days=7, kept_max=10).run())
        await until(none_kept)
        await end_tasks(doubting, trusting)


async def test_a_notifier_whose_clock_is_a_year_ahead_makes_no_notices(database_url: str) -> None:
    clock = Clock()
    settings = Settings(database_url=as_role(database_url, "notify"), nats_url="nats://127.0.0.1:1")
    async with watching(database_url, clock, hold_s=0.1) as watch, connected(database_url) as connection:
        notifier = asyncio.create_task(Notifier(settings, clock.instant, poll_s=0.02, clock=watch).run())

        async def told_until() -> datetime | None:
            at: datetime | None = await connection.fetchval("SELECT told_until FROM notice_head")
            return at

        async with asyncio.timeout(BOUND_S):
            while await told_until() is None:
                await asyncio.sleep(0.02)
        clock.shift_s = YEAR_S
        await until(lambda: "ahead of" in (watch.trouble.problem or ""))
        await asyncio.sleep(0.1)  # several turns of the notifier
        told = await told_until()
        assert told is not None
        assert (told - datetime.now(UTC)).total_seconds() < 3600
        await end_tasks(notifier)


def test_a_webhook_never_waits_longer_than_the_longest_delay() -> None:
    """A next attempt that is later was set by a clock that was ahead."""
    retries = Retries(first_s=1, most_s=60)
    assert all(retries.delay_s(failures, chance) <= retries.longest_s for failures in (1, 9, 99) for chance in (0, 1))
