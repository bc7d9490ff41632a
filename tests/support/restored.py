"""A store that was restored to an earlier position, and what a person does about it: `hourbook heal`."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from services.cli.heal.commands import Healing
from services.cli.up.owner import OwnedServers
from shared.event_store import EventStore, Pending
from shared.events import AccountCreated, encode_event
from tests.support.backends import LOGINS, Nats, Postgres, connected, drop_database, let_connect
from tests.support.running import hourbook, inherited

PROMOTE = "UPDATE store_term SET timeline = timeline + 7"
VERSION = "SELECT coalesce(max(version), 0) FROM stream_head WHERE stream = 'gaia'"


@contextlib.asynccontextmanager
async def copied(server: Postgres, url: str, name: str = "restored") -> AsyncIterator[str]:
    """A copy of the database as it is now: a backup to restore, or a standby that was behind. Nobody else may be
    connected to it."""
    source = urlsplit(url).path[1:]
    async with connected(server.url_of("postgres")) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
            source,
        )
        await connection.execute(f"CREATE DATABASE {source}_{name} TEMPLATE {source} STRATEGY file_copy")
        await let_connect(connection, [login.name for login in LOGINS.values()], f"{source}_{name}")
    copy = server.url_of(f"{source}_{name}")
    yield copy
    await drop_database(server, copy)


async def promote(url: str) -> None:
    """Makes the store one of a primary whose term has not begun."""
    async with connected(url) as connection:
        await connection.execute(PROMOTE)


async def append_accounts(store: EventStore, count: int, name: str = "", request: UUID | None = None) -> None:
    """Appends events of the project gaia, two for each command; the last command has the idempotency key `request`."""
    version = await store.connection.fetchval(VERSION)
    pending = []
    for number in range(count):
        if number % 2 == 0:
            command, at = uuid4(), datetime.now(UTC)
        key = request if number >= count - 2 and request is not None else uuid4()
        event = AccountCreated(
            at=at, actor="ada", command=command, project="gaia", account=f"a{version + number}", name=f"{name}{number}"
        )
        data = encode_event(event)
        pending.append(Pending("gaia", version + number + 1, command, number % 2, b"hash", "AccountCreated", data, key))
    assert (await store.append({"gaia": version}, pending)).outcome == "stored"


def heal(url: str, nats: Nats, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `hourbook heal`, as the owner of the database and the administrator of NATS."""
    return hourbook("heal", *arguments, HOURBOOK_DATABASE_URL=url, HOURBOOK_NATS_URL=nats.url)


class Said(NamedTuple):
    """What `hourbook heal` says, and whether its exit status is 0."""

    settled: bool
    text: str


async def healed(
    url: str, nats: Nats, *kept: Path, key: str = "", apply: bool = False, export: Path | None = None
) -> Said:
    """As `heal`, in this process, which is quicker."""
    healing = Healing(OwnedServers(url, nats.url), apply, False, export)
    settled = await healing.run(kept, (key,) if key else (), lambda _step, _done, _total: None)
    return Said(settled, "\n".join(healing.lines))


def start_heal(url: str, nats: Nats, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts `hourbook heal`, for a test that kills it."""
    return subprocess.Popen(
        [sys.executable, "-m", "services.cli", "heal", *arguments],
        env={**inherited(), "HOURBOOK_DATABASE_URL": url, "HOURBOOK_NATS_URL": nats.url},
    )
