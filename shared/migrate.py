"""Migrates a database to the newest schema with dbmate, which applies SQL files and records them in a table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"


class MigrationFailed(Exception):
    """dbmate failed. The message is dbmate's."""


def migrate(database_url: str) -> str:
    """Creates the database if it does not exist, and applies the migrations that it lacks. Returns dbmate's output.
    Raises MigrationFailed."""
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
