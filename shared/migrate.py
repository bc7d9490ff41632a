"""Brings a database to the newest schema with dbmate: plain SQL files, one table of what was applied."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"


class MigrationFailed(Exception):
    """dbmate's own words."""


def migrate(database_url: str) -> str:
    """Creates the database if there is none and applies what is missing; answers what dbmate printed."""
    run = subprocess.run(
        [
            str(Path(sys.executable).parent / "dbmate"),
            "--url",
            database_url,
            "--migrations-dir",
            str(MIGRATIONS),
            "--no-dump-schema",
            "--migration-lock",
            "up",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise MigrationFailed(run.stderr.strip() or run.stdout.strip())
    return run.stdout
