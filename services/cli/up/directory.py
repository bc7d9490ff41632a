"""The directory that holds everything of one `hourbook up`: its lock, its data, its logs, and who runs in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from services.cli.failure import Failure
from services.cli.up.private_files import close, closed_folder, open_closed
from services.cli.up.processes import command_line, end, started_at

STALE_TIMEOUT_S = 20.0
# Root's PostgreSQL is another user, and /root is no place for others.
ROOTS_DIRECTORY = Path("/var/lib/hourbook")
NAMES = frozenset({"lock", "run.json", "run.new", "audit.key", "logs", "postgres", "nats"})


class Process(msgspec.Struct, frozen=True):
    """A process that `up` started; `started` tells it from a later one with the same pid."""

    pid: int
    started: str | None
    port: int | None = None


class Run(msgspec.Struct, frozen=True):
    """`run.json`: what runs now and where. It holds the database's password, so nobody else may read it."""

    pid: int
    address: str
    database_url: str
    nats_url: str
    processes: dict[str, Process]


class DataDirectory:
    """`lock` (held while it runs), `run.json`, `audit.key`, `logs/`, `postgres/`, `nats/`: all of it for its owner
    alone, also what an earlier version left open."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.logs, self.postgres, self.nats = self.path / "logs", self.path / "postgres", self.path / "nats"
        self.audit_key = self.path / "audit.key"
        self._run = self.path / "run.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the directory for this process alone, and makes all that it makes from now on its owner's alone.
        Raises Failure when another one has it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.umask(0o077)
            self.path.mkdir(exist_ok=True)
            lock = open_closed(self.path / "lock", "a+")
        except OSError as error:
            raise Failure(f"the data directory cannot be used: {error}; give another with --data-dir") from None
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
        """Whether it holds nothing but what is made here. A folder of other things is its owner's to open or close."""
        return {path.name for path in self.path.iterdir()} <= NAMES

    def _close_to_others(self) -> None:
        closed_folder(self.logs)
        for path in (self._run, self.audit_key, *self.logs.iterdir()):
            close(path)
        for folder in (self.postgres, self.nats, *([self.path] if self.is_ours else [])):
            close(folder)

    def write_run(self, run: Run) -> None:
        new = self._run.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        with open_closed(new, "xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(run)))
        new.replace(self._run)

    def read_run(self) -> Run | None:
        """What runs here; None when nothing does, or did not stop in order. Raises Failure when it may not be read."""
        try:
            return msgspec.json.decode(self._run.read_bytes(), type=Run)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None
        except PermissionError:
            raise Failure(f"{self._run} belongs to somebody else: ask as the user who runs `hourbook up`") from None

    def remove_run(self) -> None:
        self._run.unlink(missing_ok=True)

    def end_left_behind(self, say: Callable[[str], None]) -> None:
        """Ends what an `up` that was killed has left. Call it with the lock held: then none of it has a master."""
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
        """The live postmaster of this directory. A lock file that names some other program is removed: no postmaster
        that is gone may keep the next one from starting because its pid is in use again, as in a container."""
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
    """`$XDG_DATA_HOME/hourbook`, which is ~/.local/share/hourbook unless the user has said otherwise. Root's is
    /var/lib/hourbook, unless there are data at the former place already."""
    home = environment.get("XDG_DATA_HOME", "")
    directory = (Path(home) if home else Path("~/.local/share").expanduser()) / "hourbook"
    if home or os.geteuid() != 0 or directory.exists():
        return directory
    return ROOTS_DIRECTORY
