"""A primary of PostgreSQL and its standbys, from the wheel's programs, which tests kill, pause and promote.

    cluster = PgCluster(directory, standbys=1, synchronous=True)
    cluster.start()
    cluster.primary.kill()          # SIGKILL: a machine that is lost
    cluster.promote()               # the first standby becomes the primary
    cluster.come_back(old)          # pg_rewind, then a standby of the new primary

All methods block. `kill`, `pause`, `resume`, `promote` and `rewind` may run in another thread (`asyncio.to_thread`).
`start` and `follow` may not: a server ends when the thread that started it does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from services.cli.up.embedded import EmbeddedPostgres
from services.cli.up.tether import tethered
from shared.migrate import finished
from tests.support.backends import Embedded

WAIT_S = 30.0
# No test takes the power away. pg_rewind needs whole pages in the WAL, and the WAL itself.
SETTINGS = {
    "fsync": "off",
    "wal_keep_size": "512MB",
    "wal_receiver_status_interval": "1",
    "wal_retrieve_retry_interval": "200ms",
}


class Node(EmbeddedPostgres):
    """One server of a cluster. `name` is its application_name and the name of its slot at the primary."""

    def __init__(self, directory: Path, name: str) -> None:
        super().__init__(directory, settings=dict(SETTINGS))
        self.name = name

    def _make_cluster(self) -> None:
        super()._make_cluster()
        with (self.data / "postgresql.conf").open("a") as file:  # pg_rewind starts the server without our settings
            file.write(f"wal_keep_size = {SETTINGS['wal_keep_size']}\n")

    def kill(self) -> None:
        """SIGKILL to all processes at once, as a machine without power."""
        self.pause()  # so that no process sees how another ends
        for process in reversed(self._processes()):
            _signal(process, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def pause(self) -> None:
        """SIGSTOP to all processes: the kernel takes connections and bytes, and nobody answers."""
        for process in self._processes():
            _signal(process, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: the server goes on as if nothing had happened."""
        for process in self._processes():
            _signal(process, signal.SIGCONT)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        if how == signal.SIGKILL:
            self.kill()
        else:
            self.resume()
            super().stop(how)

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask(self, statement: str, *arguments: Any) -> Any:
        """The first value that the statement answers, as the superuser, in the database `postgres`."""
        return finished(self._ask(statement, *arguments))

    async def _ask(self, statement: str, *arguments: Any) -> Any:
        connection = await asyncpg.connect(self.url_of("postgres"), timeout=5)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            connection.terminate()

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of PostgreSQL's programs, as the user that runs the server."""
        ran = subprocess.run(
            tethered([self._program(program), *arguments], signal.SIGINT, self._user),
            cwd=self.directory.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=60,
            text=True,
        )
        assert ran.returncode == 0, f"{program}: {ran.stdout}"

    def dsn(self, application: str = "") -> str:
        """How a standby, or a program of PostgreSQL, connects to this server."""
        password = (self.directory / "password").read_text()
        return (
            f"host=127.0.0.1 port={self.port} user=hourbook password={password} dbname=postgres sslmode=disable"
            f"{' application_name=' if application else ''}{application}"
        )

    def become_like(self, primary: Node) -> None:
        """Makes the empty folder of a standby: the password is the primary's."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(primary.directory / "password", self.directory / "password")
        self._let_the_user_reach()
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(self.data, self._user.pw_uid, self._user.pw_gid)

    def _processes(self) -> list[psutil.Process]:
        """The postmaster and its children. Each child has a process group of its own."""
        if not self.runs:
            return []
        assert self.process is not None
        postmaster = psutil.Process(self.process.pid)
        postmaster.suspend()  # it starts no process meanwhile
        return [postmaster, *postmaster.children(recursive=True)]


class PgCluster:
    """A primary and its standbys. It is a `Postgres` of tests/support/backends.py: `url` names all hosts."""

    def __init__(self, directory: Path, standbys: int = 1, *, synchronous: bool = False) -> None:
        self.directory, self._synchronous = directory, synchronous
        self.nodes = [Node(directory / f"node{number}", f"node{number}") for number in range(1, standbys + 2)]
        self.primary = self.nodes[0]

    @property
    def standbys(self) -> list[Node]:
        return [node for node in self.nodes if node is not self.primary]

    @property
    def url(self) -> str:
        return self.url_of("hourbook")

    def url_of(self, database: str) -> str:
        password = (self.primary.directory / "password").read_text()
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgresql://hourbook:{password}@{hosts}/{database}?sslmode=disable"

    def start(self) -> None:
        """Starts the servers; makes them when there are none."""
        self.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.primary.start()
        for node in self.standbys:
            if not node.data.exists():
                self.copy(node)
            self.follow(node)
        self.wait_until_caught_up()
        if self._synchronous:
            self.wait_for_standbys(True)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends all servers; the primary last, so that a standby has all of it."""
        for node in (*self.standbys, self.primary):
            node.stop(how)

    def wait_for_standbys(self, on: bool) -> None:
        """Whether a commit waits for a standby (synchronous replication)."""
        names = "FIRST 1 (*)" if on else ""
        self.primary.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.primary.ask("SELECT pg_reload_conf()")
        _until(lambda: self.primary.ask("SHOW synchronous_standby_names") == names)

    def promote(self, node: Node | None = None) -> Node:
        """Makes a standby (by default the first) the primary, and returns it. Its commits wait for no standby."""
        node = node or self.standbys[0]
        node.run("pg_ctl", "promote", "-D", str(node.data), "-w")
        self.primary = node
        return node

    def come_back(self, node: Node, *, rewind: bool = True) -> None:
        """Ends a former primary and makes it a standby of the new one: with pg_rewind, or as a new copy."""
        node.kill()
        if rewind:
            self.rewind(node)
        else:
            self.copy(node)
        self.follow(node)

    def copy(self, node: Node) -> None:
        """Makes the data of a standby: a base backup of the primary. Its slot keeps the WAL from then on."""
        node.become_like(self.primary)
        self._make_slot(node)
        how = ("-X", "stream", "-c", "fast", "-S", node.name)
        node.run("pg_basebackup", "-D", str(node.data), "-d", self.primary.dsn(), *how)

    def rewind(self, node: Node) -> None:
        """Takes back what a former primary has that the new one has not."""
        self._make_slot(node)
        node.run("pg_rewind", "-D", str(node.data), "--source-server", self.primary.dsn(), "--no-sync")

    def follow(self, node: Node) -> None:
        """Starts a node as a standby of the primary."""
        (node.data / "standby.signal").touch()
        node.settings |= {"primary_conninfo": self.primary.dsn(node.name), "primary_slot_name": node.name}
        node.start()
        node.ask("ALTER SYSTEM RESET synchronous_standby_names")  # the copy has the primary's
        node.ask("SELECT pg_reload_conf()")

    def wait_until_caught_up(self) -> None:
        """Until every standby that runs shows all that the primary has now."""
        end = self.primary.ask("SELECT pg_current_wal_lsn()::text")
        for node in self.standbys:
            if node.runs:
                _until(partial(node.ask, "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", end))

    def hold_back(self, node: Node) -> None:
        """From now on the standby gets nothing of the primary: the process that sends to it stands still. `let_go`
        ends that. Then only the primary knows what is committed."""
        self._sender(node).suspend()

    def let_go(self, node: Node) -> None:
        self._sender(node).resume()

    def _sender(self, node: Node) -> psutil.Process:
        return psutil.Process(
            self.primary.ask("SELECT pid FROM pg_stat_replication WHERE application_name = $1", node.name)
        )

    def _make_slot(self, node: Node) -> None:
        with contextlib.suppress(asyncpg.DuplicateObjectError):
            self.primary.ask("SELECT pg_create_physical_replication_slot($1, true)", node.name)


class Clustered(Embedded):
    """The backend of a System whose PostgreSQL is a cluster."""

    def __init__(self, *, synchronous: bool, standbys: int = 1) -> None:
        self._standbys, self._synchronous = standbys, synchronous

    @contextlib.contextmanager
    def postgres(self, directory: Path) -> Iterator[PgCluster]:
        with pg_cluster(directory, self._standbys, synchronous=self._synchronous) as cluster:
            yield cluster


@contextlib.contextmanager
def pg_cluster(directory: Path, standbys: int = 1, *, synchronous: bool = False) -> Iterator[PgCluster]:
    """A cluster that runs as long as the block does."""
    cluster = PgCluster(directory, standbys, synchronous=synchronous)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop(signal.SIGKILL)


def _until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, "the cluster did not get there"
        time.sleep(0.02)


def _signal(process: psutil.Process, how: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(how)
