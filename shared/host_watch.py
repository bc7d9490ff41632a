"""Looks once a second at all hosts of an address. When another host takes the writes, ends the connections to the old.

A connection notices by itself that its server has ended. Two other things it does not notice: that the server stands
still, for its kernel still answers; and that another host was promoted while the server goes on. The primary with the
highest timeline is the one to write to: each promotion gives PostgreSQL a higher one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import asyncpg

from shared.host_race import NotTaken
from shared.postgres_hosts import Host

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
LOOK_TIMEOUT_S = 2.0
# An older primary is not taken for this long after a newer one was seen. Then it is: a restored server may have a lower
# timeline than the lost one had.
REMEMBERED_S = 30.0
UNSEEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
# 0 on a standby. The name of a WAL file begins with the timeline.
TIMELINE = """
SELECT CASE WHEN pg_is_in_recovery() THEN 0
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END
"""
Open = Callable[[Host], Awaitable[Any]]


class HostWatch:
    """The hosts of one address, and the connections to them. It looks while there are connections."""

    def __init__(self, hosts: Sequence[Host], open_one: Open) -> None:
        self._hosts, self._open = hosts, open_one
        self._connections: WeakSet[Any] = WeakSet()
        self._seen: dict[str, int | None] = {}  # by name of host: its timeline; 0: a standby; None: no answer
        self._newest, self._newest_at = 0, 0.0
        self._looking: dict[Host, asyncio.Task[None]] = {}

    async def admit(self, connection: Any) -> Any:
        """Returns a new connection to a host that takes writes, and watches it from now on. Raises NotTaken if a newer
        primary is known, and asyncpg's errors."""
        try:
            timeline = await connection.fetchval(TIMELINE)
            self._note(connection.host_name, timeline)
            if timeline < (newest := self._known()):
                raise NotTaken(f"is an older primary: its timeline is {timeline}, and a host with {newest} was seen")
        except BaseException:
            connection.terminate()
            raise
        self._connections.add(connection)
        for host in self._hosts:
            if host not in self._looking:
                self._looking[host] = asyncio.create_task(self._look_at(host))
        return connection

    async def _look_at(self, host: Host) -> None:
        connection: Any = None
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                if not any(self._open_ones()):
                    return
                try:
                    async with asyncio.timeout(LOOK_TIMEOUT_S):
                        connection = connection or await self._open(host)
                        self._note(host.name, await connection.fetchval(TIMELINE))
                except UNSEEN:
                    self._seen[host.name] = None
                    if connection is not None:
                        connection.terminate()
                    connection = None
                self._leave_older()
        finally:
            del self._looking[host]
            if connection is not None:
                connection.terminate()

    def _note(self, name: str, timeline: int) -> None:
        self._seen[name] = timeline
        if timeline >= self._known():
            self._newest, self._newest_at = timeline, asyncio.get_running_loop().time()

    def _known(self) -> int:
        """The highest timeline that was seen lately; 0: none."""
        age_s = asyncio.get_running_loop().time() - self._newest_at
        return self._newest if age_s < REMEMBERED_S else 0

    def _leave_older(self) -> None:
        """Ends the connections to hosts that are silent, a standby or an older primary, if a newer primary answers."""
        newest = max(self._known(), 1)
        writers = [name for name, timeline in self._seen.items() if (timeline or 0) >= newest]
        left = [one for one in self._open_ones() if one.host_name in self._seen and one.host_name not in writers]
        if not writers or not left:
            return
        for connection in left:
            connection.terminate()
        names = ", ".join(sorted({connection.host_name for connection in left}))
        log.warning("PostgreSQL: %s takes the writes; %d connections to %s ended", writers[0], len(left), names)

    def _open_ones(self) -> Iterator[Any]:
        return (connection for connection in list(self._connections) if not connection.is_closed())


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Host, ...], HostWatch]] = WeakKeyDictionary()


def watch_of(hosts: tuple[Host, ...], open_one: Open) -> HostWatch:
    """The one watch of these hosts in the running loop."""
    watches = _watches.setdefault(asyncio.get_running_loop(), {})
    return watches.setdefault(hosts, HostWatch(hosts, open_one))
