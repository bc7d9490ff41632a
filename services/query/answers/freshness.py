"""Freshness checks: one statement for all requests that ask at once, one poller for all that wait for a position."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from services.query.answers.cache import Scope, Version
from services.query.database import Database, live
from shared.errors import HourbookError, InvalidField

POLL_INTERVAL_S = 0.002


class NotYetVisible(HourbookError):
    """The projection has not reached min_position in the time that a request may wait. `position` is where it is."""

    code = "not_yet_visible"
    status = 503
    title = "The position asked for is not visible yet"


class Fresh(NamedTuple):
    """The projection's position, and the scope's version then; None for a pool or project that is not there."""

    position: int
    version: Version | None


class _Group:
    """Those who asked before the statement was sent."""

    def __init__(self) -> None:
        self.scopes: set[Scope] = set()
        self.answer: asyncio.Future[tuple[int, dict[Scope, Version]]] = asyncio.get_running_loop().create_future()


FRESHNESS = """
SELECT g.generation, g.position, 'pool' AS kind, p.id, p.touched
FROM generation g LEFT JOIN pool p ON p.generation = g.generation AND p.id = ANY ($1)
WHERE g.live
"""
FRESHNESS_OF_TREES = f"""
{FRESHNESS}
UNION ALL
SELECT g.generation, g.position, 'tree', p.project, max(p.touched)
FROM generation g JOIN pool p ON p.generation = g.generation AND p.project = ANY ($2)
WHERE g.live GROUP BY g.generation, g.position, p.project
"""


class Freshness:
    """`of` from any number of tasks. One statement is under way at a time; the next takes all who came meanwhile."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: _Group | None = None
        self._task: asyncio.Task[None] | None = None

    async def of(self, scope: Scope) -> Fresh:
        """The state at some moment after the call. Raises asyncpg's errors."""
        group = self._waiting = self._waiting or _Group()
        group.scopes.add(scope)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        position, versions = await asyncio.shield(group.answer)
        return Fresh(position, versions.get(scope))

    async def _run(self) -> None:
        try:
            while (group := self._waiting) is not None:
                self._waiting = None
                try:
                    group.answer.set_result(await self._read(group.scopes))
                except Exception as error:  # it belongs to those who asked
                    group.answer.set_exception(error)
        finally:
            self._task = None

    async def _read(self, scopes: set[Scope]) -> tuple[int, dict[Scope, Version]]:
        pools = [scope.id for scope in scopes if scope.kind == "pool"]
        trees = [scope.id for scope in scopes if scope.kind == "tree"]
        if trees:
            records = live(await self._database.fetch(FRESHNESS_OF_TREES, pools, trees))
        else:
            records = live(await self._database.fetch(FRESHNESS, pools))
        generation, position = records[0]["generation"], records[0]["position"]
        versions = {
            Scope(record["kind"], record["id"]): Version(generation, record["touched"])
            for record in records
            if record["id"] is not None
        }
        return position, {**versions, Scope("all"): Version(generation, position)}


POSITIONS = "SELECT g.position, h.position AS head FROM generation g CROSS JOIN event_head h WHERE g.live"


class Positions:
    """Waits for the live generation to reach a position; `timeout_s` bounds each wait."""

    def __init__(self, database: Database, timeout_s: float) -> None:
        self._database, self.timeout_s = database, timeout_s
        self.seen = 0
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._task: asyncio.Task[None] | None = None

    async def reached(self, position: int) -> None:
        """Returns when `position` is visible. Raises NotYetVisible, or InvalidField when there is no such event."""
        if position <= self.seen:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = position
        if self._task is None:
            self._task = asyncio.create_task(self._poll())
        try:
            async with asyncio.timeout(self.timeout_s):
                await waiter
        except TimeoutError:
            raise self.not_yet(position) from None
        finally:
            self._waiting.pop(waiter, None)

    def not_yet(self, position: int) -> NotYetVisible:
        detail = f"position {position} is not visible yet, {self.seen} is; try again in a second"
        return NotYetVisible(detail, position=self.seen, min_position=position)

    async def read(self) -> tuple[int, int]:
        """The live generation's position and the store's head, in one snapshot."""
        record = live(await self._database.fetchrow(POSITIONS))
        return record["position"], record["head"]

    async def _poll(self) -> None:
        try:
            while self._waiting:
                await self._look()
                await asyncio.sleep(POLL_INTERVAL_S)
        finally:
            self._task = None

    async def _look(self) -> None:
        """Settles those who have waited long enough, and those whom no waiting can help."""
        asked = dict(self._waiting)  # those who come during the read may know of events that it does not
        try:
            self.seen, head = await self.read()
        except Exception as error:  # it belongs to those who wait
            for waiter in asked:
                _settle(waiter, error)
            return
        for waiter, position in asked.items():
            if position <= self.seen:
                _settle(waiter)
            elif position > head:
                _settle(waiter, InvalidField("min_position", f"{position} is beyond the last event, {head}"))


def _settle(waiter: asyncio.Future[None], error: Exception | None = None) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
