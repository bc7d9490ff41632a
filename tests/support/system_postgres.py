"""PostgreSQL of this system, if it has one: another version than the embedded one, and built with TLS."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from services.cli.up.embedded import EmbeddedPostgres

INSTALLED = "/usr/lib/postgresql/*/bin"


class SystemPostgres(EmbeddedPostgres):
    """The embedded server's ways with the programs of the system: the newest that there are. Skips the test if there
    are none. `files` are given to the user that runs the server."""

    def __init__(self, directory: Path, settings: dict[str, str], files: Iterable[Path] = ()) -> None:
        super().__init__(directory, settings=settings)
        found = sorted(Path("/").glob(INSTALLED[1:]))
        if not found:
            pytest.skip(f"no PostgreSQL in {INSTALLED}")
        self._programs = found[-1]
        if self._user is not None:
            for file in files:
                os.chown(file, self._user.pw_uid, self._user.pw_gid)
