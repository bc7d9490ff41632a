"""A PostgreSQL that archives its WAL, a base backup of it, and servers that are restored from both, as
docs/backup.md tells an operator to do it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from services.cli.up.embedded import EmbeddedPostgres, stop_process
from tests.support.backends import Embedded

WAIT_S = 60.0
ARCHIVE = "test ! -f {archive}/%f && cp %p {archive}/%f"


class Archiving(EmbeddedPostgres):
    """A server that copies each full WAL file into `archive`."""

    def __init__(self, directory: Path, port: int | None = None, **settings: str) -> None:
        self.archive, self.backup = directory.parent / "archive", directory.parent / "backup"
        archiving = {"archive_mode": "on", "archive_command": ARCHIVE.format(archive=self.archive)}
        super().__init__(directory, port, {**archiving, **settings})

    def make_places(self) -> None:
        """Makes the folders of the archive and of the backup, for the user who runs the server."""
        for folder in (self.archive, self.backup):
            self._make_folder(folder)

    def take_backup(self) -> None:
        """A base backup, into `backup`."""
        server = f"host=127.0.0.1 port={self.port} user=hourbook dbname=postgres passfile={self._pgpass()}"
        self._run("pg_basebackup", "-D", str(self.backup), "-d", server, "-X", "fetch", "-c", "fast")

    def restored(self, directory: Path, **target: str) -> Archiving:
        """A server in a new `directory`, with the same address: from the base backup and the archive, up to the
        `target`; without one, up to the end. It is not started."""
        restore = {"restore_command": f"cp {self.archive}/%f %p", "recovery_target_action": "promote", **target}
        server = Archiving(directory, self.port, **restore)
        server._make_folder(directory)
        shutil.copy2(self.directory / "password", directory / "password")
        self._run("cp", "-a", str(self.backup), str(server.data))
        self._run("touch", str(server.data / "recovery.signal"))
        return server

    def has_archived(self, file: str) -> bool:
        return (self.archive / file).exists()

    def _pgpass(self) -> Path:
        path = self.archive / "pgpass"
        path.write_text(f"*:*:*:*:{(self.directory / 'password').read_text()}")
        path.chmod(0o600)
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)
        return path

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True)
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    def _run(self, program: str, *arguments: str) -> None:
        """Runs a program of PostgreSQL or of the system, as the user who runs the server."""
        path = self._program(program) if program.startswith("pg_") else shutil.which(program) or program
        with (self.archive.parent / "restore.log").open("ab") as log:
            process = self._spawn([path, *arguments], log)
        try:
            assert process.wait(WAIT_S) == 0, (self.archive.parent / "restore.log").read_text()
        except subprocess.TimeoutExpired:
            stop_process(process, signal.SIGKILL)
            raise


class Archived(Embedded):
    """The backend of a System whose PostgreSQL archives. Whoever replaces the server stops it."""

    @contextlib.contextmanager
    def postgres(self, directory: Path) -> Iterator[Archiving]:
        server = Archiving(directory)
        server.make_places()
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)
