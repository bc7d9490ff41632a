"""Real servers and service processes for a measurement, in a directory that goes afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.embedded import EmbeddedNats, EmbeddedPostgres, free_port, stop_process
from shared.migrate import migrate

START_TIMEOUT_S = 30.0


class System:
    """An embedded PostgreSQL and NATS, migrated; `service` runs a process beside them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.postgres = EmbeddedPostgres(directory / "postgres")
        self.nats = EmbeddedNats(directory / "nats")

    def start(self) -> None:
        self.postgres.start()
        migrate(self.postgres.url)
        self.nats.start()

    def stop(self) -> None:
        self.nats.stop()
        self.postgres.stop()

    def environment(self, **settings: str) -> dict[str, str]:
        urls = {"HOURBOOK_DATABASE_URL": self.postgres.url, "HOURBOOK_NATS_URL": self.nats.url}
        return {**os.environ, **urls, **{f"HOURBOOK_{name.upper()}": value for name, value in settings.items()}}

    @contextlib.contextmanager
    def command(self) -> Iterator[int]:
        port = free_port()
        with self.run(["-m", "services.command"], port, command_port=str(port)):
            yield port

    @contextlib.contextmanager
    def query(self) -> Iterator[int]:
        port = free_port()
        with self.run(["-m", "services.query"], port, query_port=str(port)):
            yield port

    @contextlib.contextmanager
    def projector(self) -> Iterator[None]:
        with self.run(["-m", "services.projector"]):
            yield

    @contextlib.contextmanager
    def ceiling(self) -> Iterator[int]:
        port = free_port()
        with self.run(["-m", "tests.bench.ceiling", str(port)], port):
            yield port

    @contextlib.contextmanager
    def run(self, arguments: Sequence[str], port: int | None = None, **settings: str) -> Iterator[None]:
        """One Python process; with a port, the block begins when it listens there."""
        with (self.directory / f"{arguments[1].rsplit('.', 1)[-1]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], stdout=log, stderr=log, env=self.environment(**settings)
            )
        try:
            if port is not None:
                _wait_for(process, port)
            yield
        finally:
            stop_process(process, signal.SIGTERM)


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not listen on port {port}")
