"""The hosts of a database's address, as `hourbook status` shows them: which takes writes, and how the others are."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from shared import postgres
from shared.host_race import ASK_TIMEOUT_S, why_not
from shared.host_watch import TIMELINE
from shared.postgres import LOST_OR_REFUSED
from shared.postgres_hosts import Host, hosts_of

MB = 1_000_000
STANDBY_LATE_BYTES = 64 * MB  # four files of WAL: a standby that follows is far less behind


class HostState(NamedTuple):
    """`timeline` is 0 on a standby. `written`: the end of the WAL that the host has written or replayed, in bytes.
    `silent`: why it did not answer, after its name; then the others are 0."""

    name: str
    timeline: int = 0
    written: int = 0
    silent: str | None = None


async def look_at_hosts(url: str) -> list[HostState]:
    """The state of each host, in the order of the address; [] if the address has one host."""
    hosts = hosts_of(url)
    return [] if len(hosts) == 1 else list(await asyncio.gather(*map(_look_at, hosts)))


WRITTEN = """
SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0')::bigint
"""


async def _look_at(host: Host) -> HostState:
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            connection = await postgres.connect(host.url, target_session_attrs="any")
            try:
                return HostState(host.name, await connection.fetchval(TIMELINE), await connection.fetchval(WRITTEN))
            finally:
                connection.terminate()
    except LOST_OR_REFUSED as error:
        return HostState(host.name, silent=why_not(error))


def several_writers(hosts: list[HostState]) -> str | None:
    """What is wrong if more than one host takes writes: whoever connects may get the older primary. Else None."""
    writers = [f"{host.name} (timeline {host.timeline})" for host in hosts if host.timeline]
    if len(writers) < 2:
        return None
    return (
        f"{len(writers)} hosts of the database's address take writes: {', '.join(writers)}. Stop those of the older "
        "timelines (docs/failover.md), or name only one host in the address"
    )


def described(hosts: list[HostState]) -> list[tuple[str, str, str | None]]:
    """For each host: its name, its state, and what is wrong with it, if anything."""
    writer = max(hosts, key=lambda host: host.timeline, default=None)
    return [(host.name, *_described(host, writer)) for host in hosts]


def _described(host: HostState, writer: HostState | None) -> tuple[str, str | None]:
    if host.silent is not None:
        return "", f"{host.name} {host.silent}"
    if host.timeline:
        older = writer is not None and host.timeline < writer.timeline
        stop = f"takes writes on the older timeline {host.timeline}: stop it, and make it a standby (docs/failover.md)"
        return f"takes writes, timeline {host.timeline}", stop if older else None
    if writer is None or not writer.timeline:
        return "standby", None
    behind = max(0, writer.written - host.written)
    note = f"standby, {behind / MB:,.1f} MB behind"
    return note, f"{note}: does it follow {writer.name}?" if behind > STANDBY_LATE_BYTES else None
