"""The drill of docs/backup.md: a base backup and WAL under load, a lost server, a restore, `heal`, the audit."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.support.backends import Backend, Embedded, as_role, connected
from tests.support.backups import Archived, Archiving
from tests.support.replay import BOUND_S, assert_all_is_there_once
from tests.support.running import hourbook
from tests.support.system import Service, System
from tests.support.writers import Writers, writing


class Drill(Writers):
    """A whole system, whose PostgreSQL archives, and writers that send a command again until it is answered."""

    def __init__(self, system: System, command: Service) -> None:
        super().__init__(command.url, patience_s=2 * BOUND_S)
        self.system, self.command = system, command

    @property
    def server(self) -> Archiving:
        assert isinstance(self.system.postgres, Archiving)
        return self.system.postgres

    async def ask(self, statement: str) -> str:
        async with connected(self.system.postgres.url) as connection:
            return str(await connection.fetchval(statement))

    async def archived(self) -> None:
        """Everything up to now is in the archive."""
        file = await self.ask("SELECT pg_walfile_name(pg_switch_wal())")
        async with asyncio.timeout(BOUND_S):
            while not self.server.has_archived(file):
                await asyncio.sleep(0.02)

    async def on_the_stream(self) -> None:
        """The stream and a signed checkpoint have everything up to now."""
        head = "SELECT least((SELECT max(size) FROM audit_checkpoint), $RELAYED) >= position FROM event_head"
        async with asyncio.timeout(BOUND_S), httpx.AsyncClient() as client:
            while True:
                relayed = (await client.get(f"{self.command.url}/health")).json()["relayed"]
                if await self.ask(head.replace("$RELAYED", str(relayed))) == "True":
                    return
                await asyncio.sleep(0.05)

    async def health(self) -> tuple[int, str]:
        """The status of the command service's /health, and its trouble."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{self.command.url}/health", timeout=BOUND_S)
        return answer.status_code, answer.json()["trouble"] or ""

    async def restore(self, **target: str) -> None:
        """The server is lost, with all that was not archived. Another one takes its address."""
        self.server.stop(signal.SIGKILL)
        self.system.postgres = self.server.restored(self.system.directory / uuid4().hex, **target)
        self.system.postgres.start()

    async def keep_checkpoint(self, file: Path) -> None:
        """What an auditor keeps: a signed checkpoint of the history."""
        note = await self.ask("SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
        await asyncio.to_thread(file.write_text, note)


@pytest.fixture
async def drill(own_directory: Path, backend: Backend) -> AsyncIterator[Drill]:
    if not isinstance(backend, Embedded):
        pytest.skip("needs a server of its own, whose files it copies")
    system = System(own_directory / f"restore-{uuid4().hex}", Archived())
    system.start()
    try:
        with system.projector(), system.sealer(), system.command() as command:
            drill = Drill(system, command)
            await drill.begin()
            yield drill
    finally:
        system.postgres.stop(signal.SIGQUIT)
        system.stop()


async def test_a_restore_to_a_point_in_time_loses_nothing_that_was_acknowledged(drill: Drill, tmp_path: Path) -> None:
    kept, system = tmp_path / "kept.txt", drill.system
    async with writing(drill):
        await drill.grown_by(20)
        await asyncio.to_thread(drill.server.take_backup)
        await drill.grown_by(20)
        target = await drill.ask("SELECT clock_timestamp()")
        await drill.grown_by(20)
    # What is acknowledged and not yet on the stream, which takes milliseconds, would be lost with the server.
    await drill.on_the_stream()
    await drill.archived()
    await drill.keep_checkpoint(kept)
    before = [*drill.booked]
    await drill.restore(recovery_target_time=target)
    async with writing(drill):
        async with asyncio.timeout(BOUND_S):
            while "the store has lost" not in (await drill.health())[1]:
                await asyncio.sleep(0.1)
        assert (await drill.health())[0] == 503
        servers = {"HOURBOOK_DATABASE_URL": system.postgres.url, "HOURBOOK_NATS_URL": system.nats.url}
        shown = await asyncio.to_thread(hourbook, "heal", "--checkpoint", str(kept), **servers)
        assert shown.returncode == 1, shown.stdout + shown.stderr
        assert (await drill.health())[0] == 503
        healed = await asyncio.to_thread(hourbook, "heal", "--apply", "--checkpoint", str(kept), **servers)
        assert healed.returncode == 0, healed.stdout + healed.stderr
        await drill.grown_by(20)
    assert await drill.health() == (200, "")
    async with httpx.AsyncClient(base_url=drill.command.url, timeout=BOUND_S) as client:
        for key in before[-5:]:  # of the tail that was given back: the first answer is known
            assert await drill.book(client, key)
    await assert_all_is_there_once(system, drill.acknowledged)
    url = as_role(system.postgres.url, "projector")
    verified = await asyncio.to_thread(hourbook, "audit", "verify", "--kept", str(kept), HOURBOOK_DATABASE_URL=url)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert verified.stdout.endswith("verified\n")


async def test_a_restore_of_all_that_was_archived_goes_on_by_itself_also_without_the_stream(drill: Drill) -> None:
    """Both servers are lost, and there is a backup of PostgreSQL alone: the stream is filled again from the store."""
    async with writing(drill):
        await drill.grown_by(20)
        await asyncio.to_thread(drill.server.take_backup)
        await drill.grown_by(20)
    await drill.archived()
    drill.system.nats.stop(signal.SIGKILL)
    shutil.rmtree(drill.system.directory / "nats" / "data")
    await drill.restore()
    drill.system.nats.start()
    async with writing(drill):
        await drill.grown_by(20)
    await assert_all_is_there_once(drill.system, drill.acknowledged)
    assert await drill.health() == (200, "")
