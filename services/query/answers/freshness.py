"""Freshness checks: one statement serves all requests that ask at the same time, and one poller serves all that wait
for a position."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from uuid import UUID

from services.query.answers.cache import Scope, Version
from services.query.database import Database, live
from services.query.standby import Standby
from shared.errors import HourbookError, InvalidField

POLL_INTERVAL_S = 0.002


class NotYetVisible(HourbookError):
    """The read models did not reach the position in the time that a request may wait. `position` is the position that
    they show now."""

    code = "not_yet_visible"
    status = 503
    title = "The position asked for is not visible yet"


class Fresh(NamedTuple):
    """The position of the live generation, and the version of the scope at that position; None for a pool or project
    that does not exist."""

    position: int
    version: Version | None


class RolesVersion(NamedTuple):
    """The version of all roles and members of accounts: `changed` is the position of the last event that changed one.
    A later version is greater."""

    generation: int
    changed: int


class Looked(NamedTuple):
    """What a look at one pool has read in one statement: the live generation, its position, the version of the roles,
    the term of the store, and the position that last touched the pool (None: there is no such pool)."""

    generation: int
    position: int
    roles_changed: int
    term: UUID | None
    touched: int | None


Look = Callable[[Database], Awaitable[Looked]]


class _Read(NamedTuple):
    """What one statement has read: the position, the version of each scope, and that of the roles."""

    position: int
    versions: dict[Scope, Version]
    roles: RolesVersion


class _Group:
    """The requests that one statement serves: those that asked before it was sent."""

    def __init__(self) -> None:
        self.scopes: set[Scope] = set()
        self.asked = 0
        self.look: Look | None = None
        self.answer: asyncio.Future[_Read] = asyncio.get_running_loop().create_future()


OF_GENERATION = ("generation", "position", "roles_changed", "term")
FRESHNESS = """
SELECT g.generation, g.position, g.roles_changed, (SELECT t.term FROM store_term t) AS term,
    'pool' AS kind, p.id, p.touched
FROM generation g LEFT JOIN pool p ON p.generation = g.generation AND p.id = ANY ($1)
WHERE g.live
"""
FRESHNESS_OF_TREES = f"""
{FRESHNESS}
UNION ALL
SELECT g.generation, g.position, g.roles_changed, NULL, 'tree', p.project, max(p.touched)
FROM generation g JOIN pool p ON p.generation = g.generation AND p.project = ANY ($2)
WHERE g.live GROUP BY g.generation, g.position, g.roles_changed, p.project
"""


class Freshness:
    """Reads the version of a scope, for any number of tasks. Only one statement runs at a time. Requests that come
    while it runs share the next one.

    `term` is the id of the store's term, None before the first read. In a new term the store may have lost events, and
    other events may have their positions. So when the term is another one, what this process has in memory is forgotten
    (`on_new_term`).
    """

    def __init__(self, database: Database, standby: Standby | None = None) -> None:
        self._database, self._standby = database, standby
        self._waiting: _Group | None = None
        self._task: asyncio.Task[None] | None = None
        self._forget: list[Callable[[], None]] = []
        self.term: UUID | None = None

    def on_new_term(self, *forget: Callable[[], None]) -> None:
        """Calls each of these when the term is another one, before the request that has found it goes on."""
        self._forget += forget

    async def of(self, scope: Scope, look: Look | None = None) -> Fresh:
        """The state at a moment after the call. Raises asyncpg's errors, and StandbyBehind.

        `look` reads the state of the scope, a pool, and more with it. It is called in place of the statement if no
        other request asks at this moment."""
        return (await self.with_roles(scope, look))[0]

    async def with_roles(self, scope: Scope | None, look: Look | None = None) -> tuple[Fresh, RolesVersion]:
        """As `of`, with the version of the roles at the same position. None asks for no scope."""
        group = self._waiting = self._waiting or _Group()
        group.asked, group.look = group.asked + 1, look
        if scope is not None:
            group.scopes.add(scope)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        position, versions, roles = await asyncio.shield(group.answer)
        return Fresh(position, None if scope is None else versions.get(scope)), roles

    async def _run(self) -> None:
        try:
            while (group := self._waiting) is not None:
                self._waiting = None
                try:
                    group.answer.set_result(await self._read(group))
                except Exception as error:  # the requests raise it
                    group.answer.set_exception(error)
        finally:
            self._task = None

    async def _read(self, group: _Group) -> _Read:
        if group.asked == 1 and group.look is not None:
            (scope,) = group.scopes
            looked = await group.look(self._database)
            versions = {} if looked.touched is None else {scope: Version(looked.generation, looked.touched)}
        else:
            looked, versions = await self._read_scopes(group.scopes)
        if self._standby is not None:
            self._standby.check_shown(looked.position)
        self._note_term(looked.term)
        versions[Scope("all")] = Version(looked.generation, looked.position)
        return _Read(looked.position, versions, RolesVersion(looked.generation, looked.roles_changed))

    async def _read_scopes(self, scopes: set[Scope]) -> tuple[Looked, dict[Scope, Version]]:
        pools = [scope.id for scope in scopes if scope.kind == "pool"]
        trees = [scope.id for scope in scopes if scope.kind == "tree"]
        if trees:
            records = live(await self._database.fetch(FRESHNESS_OF_TREES, pools, trees))
        else:
            records = live(await self._database.fetch(FRESHNESS, pools))
        generation, position, changed, term = (records[0][name] for name in OF_GENERATION)
        versions = {
            Scope(record["kind"], record["id"]): Version(generation, record["touched"])
            for record in records
            if record["id"] is not None
        }
        return Looked(generation, position, changed, term, None), versions

    def _note_term(self, term: UUID | None) -> None:
        if self.term not in (None, term):
            for forget in self._forget:
                forget()
        self.term = term


class _Wanted(NamedTuple):
    """A position that a request waits for, and when it began to wait."""

    position: int
    asked_at: float


POSITIONS = "SELECT g.position, h.position AS head FROM generation g CROSS JOIN event_head h WHERE g.live"


class Positions:
    """Waits for the live generation to reach a position; `timeout_s` bounds each wait. On a standby it also waits until
    the event is there."""

    def __init__(
        self, database: Database, timeout_s: float, standby: Standby | None = None, *, several_hosts: bool = False
    ) -> None:
        self._database, self.timeout_s, self._standby = database, timeout_s, standby
        self._several_hosts = several_hosts
        self.seen = 0
        self._waiting: dict[asyncio.Future[None], _Wanted] = {}
        self._task: asyncio.Task[None] | None = None

    async def reached(self, position: int) -> None:
        """Waits until `position` is visible. Raises NotYetVisible, or InvalidField when there is no such event."""
        if position <= self.seen:
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting[waiter] = _Wanted(position, loop.time())
        if self._task is None:
            self._task = asyncio.create_task(self._poll())
        try:
            async with asyncio.timeout(self.timeout_s):
                await waiter
        except TimeoutError:
            raise self.not_yet(position) from None
        finally:
            self._waiting.pop(waiter, None)

    def forget(self) -> None:
        """The positions that were visible may not be any more."""
        self.seen = 0

    def not_yet(self, position: int) -> NotYetVisible:
        detail = f"position {position} is not visible yet, {self.seen} is; try again in a second"
        return NotYetVisible(detail, position=self.seen, min_position=position)

    async def read(self) -> tuple[int, int]:
        """The position of the live generation and the position of the last stored event, in one snapshot."""
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
        """Reads the position once. Ends the wait of each request whose position is visible, and fails each whose
        position is beyond the last event."""
        asked = dict(self._waiting)  # only these: requests that come during the read may know newer events
        try:
            self.seen, head = await self.read()
        except Exception as error:  # the waiting requests raise it
            for waiter in asked:
                _settle(waiter, error)
            return
        for waiter, wanted in asked.items():
            if wanted.position <= self.seen:
                _settle(waiter)
            elif wanted.position > head and self._is_beyond(wanted):
                _settle(waiter, InvalidField("min_position", f"{wanted.position} is beyond the last event, {head}"))

    def _is_beyond(self, wanted: _Wanted) -> bool:
        """Whether there is no such event, also where this database does not have the newest ones."""
        if self._standby is None:  # one of several hosts may be an older primary, just before it is left
            return not self._several_hosts
        return self._standby.is_beyond(*wanted)


def _settle(waiter: asyncio.Future[None], error: Exception | None = None) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
