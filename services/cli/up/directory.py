"""The data directory of one `hourbook up`: its lock, its data, its logs, and the list of its processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from services.cli.failure import Failure
from services.cli.up.private_files import make_private, make_private_folder, open_private
from services.cli.up.processes import command_line, end, started_at

STALE_TIMEOUT_S = 20.0
# PostgreSQL that root starts runs as another user, who may not enter /root.
ROOTS_DIRECTORY = Path("/var/lib/hourbook")
# An option of the commands that look for a running `hourbook up`.
DataDir = Annotated[
    Path | None, Parameter(help="The data directory that was given to `hourbook up`. Default: the same as there.")
]
NAMES = frozenset({"lock", "run.json", "run.new", "audit.key", "logs", "postgres", "nats", "roles"})


class Process(msgspec.Struct, frozen=True):
    """A process that `up` started. `started` tells it from a later process with the same pid."""

    pid: int
    started: str | None
    port: int | None = None


class Run(msgspec.Struct, frozen=True):
    """The file `run.json`: what runs now. Only its owner may read it: it contains passwords.

    `issuers` are those that people sign in with; None: nobody signs in. `database_urls` are the addresses of the
    database by service, each with the service's role; empty until the database is migrated.
    """

    pid: int
    address: str
    nats_url: str
    processes: dict[str, Process]
    issuers: tuple[str, ...] | None = None
    database_urls: dict[str, str] = {}


class DataDirectory:
    """`lock` (locked while `up` runs), `run.json`, `audit.key`, `logs/`, `postgres/`, `nats/`, and `roles/` with the
    passwords of the services' roles.

    Only the owner may read these. Files that an earlier version left open to others are closed too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.logs, self.postgres, self.nats = self.path / "logs", self.path / "postgres", self.path / "nats"
        self.audit_key, self.roles = self.path / "audit.key", self.path / "roles"
        self._run = self.path / "run.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the directory for this process, and sets the umask so that new files are private.

        Raises Failure when another process has the lock, or the directory cannot be used.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.umask(0o077)
            self.path.mkdir(exist_ok=True)
            lock = open_private(self.path / "lock", "a+")
        except OSError as error:
            raise Failure(f"cannot use the data directory: {error}; give another with --data-dir") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                raise Failure(
                    f"the data directory {self.path} is in use by another `hourbook up` (pid {lock.read().strip()}): "
                    "stop that one, or give another --data-dir"
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            self._close_to_others()
            yield

    @property
    def is_ours(self) -> bool:
        """Whether the directory contains only files of `up`. The mode of a folder with other files is not changed."""
        return {path.name for path in self.path.iterdir()} <= NAMES

    def _close_to_others(self) -> None:
        make_private_folder(self.logs)
        for path in (self._run, self.audit_key, *self.logs.iterdir()):
            make_private(path)
        for folder in (self.postgres, self.nats, self.roles, *([self.path] if self.is_ours else [])):
            make_private(folder)

    def write_run(self, run: Run) -> None:
        """Replaces `run.json` in one step: a reader sees the old file or the new one."""
        new = self._run.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        with open_private(new, "xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(run)))
        new.replace(self._run)

    def read_run(self) -> Run | None:
        """What runs here; None when there is no valid `run.json`. Raises Failure when another user owns the file."""
        try:
            return msgspec.json.decode(self._run.read_bytes(), type=Run)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None
        except PermissionError:
            raise Failure(f"{self._run} belongs to another user: run this as the user who runs `hourbook up`") from None

    def remove_run(self) -> None:
        self._run.unlink(missing_ok=True)

    def stop_leftovers(self, say: Callable[[str], None]) -> None:
        """Stops the processes that an earlier `up` left when it was killed. Call it only while the lock is held."""
        run = self.read_run()
        left = dict(run.processes) if run else {}
        postmaster = self._postmaster()
        if postmaster is not None:
            left["postgres"] = postmaster
        for name, process in reversed(left.items()):
            if process.started is None or started_at(process.pid) != process.started:
                continue
            say(f"{name} (pid {process.pid}) was left behind by an earlier run: stopping it")
            end(process.pid, process.started, signal.SIGINT if name == "postgres" else signal.SIGTERM, STALE_TIMEOUT_S)
        self.remove_run()

    def _postmaster(self) -> Process | None:
        """The running PostgreSQL of this directory; None when none runs.

        PostgreSQL does not start while its `postmaster.pid` names a living process. In a container another program may
        have that pid by now: then the file is removed.
        """
        file = self.postgres / "data" / "postmaster.pid"
        try:
            pid = int(file.read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None
        line = command_line(pid)
        if str(self.postgres) in line:
            return Process(pid, started_at(pid))
        if line and "postgres" not in line:
            file.unlink(missing_ok=True)
        return None


def default_directory(environment: Mapping[str, str]) -> Path:
    """`$XDG_DATA_HOME/hourbook`, or ~/.local/share/hourbook when that variable is not set.

    For root it is /var/lib/hourbook, unless one of the former exists or the variable is set.
    """
    home = environment.get("XDG_DATA_HOME", "")
    directory = (Path(home) if home else Path("~/.local/share").expanduser()) / "hourbook"
    if home or os.geteuid() != 0 or directory.exists():
        return directory
    return ROOTS_DIRECTORY
