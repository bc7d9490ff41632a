"""Real servers and service processes, for end-to-end tests and measurements."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from services.cli.up.embedded import free_port, stop_process
from services.cli.up.tether import tethered
from shared.audit.notes import ensure_key
from shared.migrate import migrate
from tests.support.backends import LOGINS, Backend, Embedded, Nats, Postgres, as_role

START_TIMEOUT_S = 90.0


class System:
    """A PostgreSQL and a NATS, migrated; `command`, `query`, `projector` and `sealer` are processes beside them."""

    postgres: Postgres
    nats: Nats

    def __init__(self, directory: Path, backend: Backend | None = None, *, tether: bool = False) -> None:
        """`tether`: its processes are killed when the thread that started them ends. `source` is the folder of the code
        that its next processes run; None: this code."""
        self.source: Path | None = None
        self.directory, self._backend, self.tether = directory, backend or Embedded(), tether
        self._servers = contextlib.ExitStack()
        self.audit_key = directory / "audit.key"

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        ensure_key(self.audit_key)
        self.postgres = self._servers.enter_context(self._backend.postgres(self.directory / "postgres"))
        self.migrate()
        self.nats = self._servers.enter_context(self._backend.nats(self.directory / "nats"))

    def migrate(self) -> None:
        migrate(self.postgres.url, LOGINS)

    def stop(self) -> None:
        self._servers.close()

    def environment(self, module: str = "", **settings: str) -> dict[str, str]:
        """The settings of a module's process. A service's process connects as the service's role and user."""
        package, _, service = module.partition(".")
        has_role = package == "services" and service in LOGINS
        url = as_role(self.postgres.url, service) if has_role else self.postgres.url
        nats = self.nats.url_of(service) if has_role and service != "query" else self.nats.url
        urls = {"HOURBOOK_DATABASE_URL": url, "HOURBOOK_NATS_URL": nats}
        return {**os.environ, **urls, **{f"HOURBOOK_{name.upper()}": value for name, value in settings.items()}}

    def command(self, **settings: str) -> Service:
        return Service(self, "services.command", "command_port", settings)

    def query(self, **settings: str) -> Service:
        return Service(self, "services.query", "query_port", settings)

    def notify(self, **settings: str) -> Service:
        return Service(self, "services.notify", settings=settings)

    def sealer(self, **settings: str) -> Service:
        return Service(self, "services.sealer", settings={"audit_key_file": str(self.audit_key), **settings})

    def gateway(self, **settings: str) -> Service:
        return Service(self, "services.cli", "gateway_port", settings, ("gateway",))

    def projector(self, **settings: str) -> Service:
        return Service(self, "services.projector", "projector_port", settings)


class Service:
    """One Python process beside the servers; as a context, it runs as long as the block does."""

    def __init__(
        self,
        system: System,
        module: str,
        port_setting: str | None = None,
        settings: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self._system, self._module, self._port_setting = system, module, port_setting
        self.settings, self._arguments = dict(settings or {}), arguments
        self.name = module  # its log is called so
        self.port = free_port()
        self._source = system.source
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when the process listens on its port, if it has one."""
        settings = {**self.settings, **({self._port_setting: str(self.port)} if self._port_setting else {})}
        arguments = [str(self.port)] if self._module.startswith("tests.") else self._arguments
        command = [sys.executable, "-m", self._module, *arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                tethered(command, signal.SIGKILL) if self._system.tether else command,
                stdout=log,
                stderr=log,
                cwd=self._source,
                env=self._system.environment(self._module, **settings),
            )
        if self._port_setting:
            _wait_for(self._process, self.port)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        stop_process(self._process, how)

    @property
    def log(self) -> Path:
        return self._system.directory / f"{self.name}.log"

    @property
    def ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def signal(self, how: signal.Signals) -> None:
        """Signals the process, such as SIGSTOP (it stands still) and SIGCONT (it goes on)."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def processor_s(self) -> float:
        """The processor time that it has used, in seconds."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def crash(self) -> None:
        """Kills it without a word, and starts it again."""
        self.stop(signal.SIGKILL)
        self.start()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not listen on port {port}")
