"""Migrates a database to the newest schema with dbmate, which applies SQL files and records them in a table. Then gives
the roles of the services their rights."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from shared import postgres
from shared.database_roles import Login, RolesRefused, apply_roles
from shared.errors import words_of
from shared.postgres import LOST_OR_REFUSED, address_of_writer

T = TypeVar("T")
MIGRATIONS = Path(__file__).parent / "migrations"
APPLIED = "SELECT version FROM public.schema_migrations"


class MigrationFailed(Exception):
    """dbmate failed, or the rights could not be given. The message is dbmate's or PostgreSQL's."""


class Migrated(NamedTuple):
    """`output`: what dbmate said. `no_roles`: why the services have no roles of their own, and what would help; None
    when they have."""

    output: str
    no_roles: str | None = None


def migrate(database_url: str, logins: Mapping[str, Login] | None = None, *, own_server: bool = False) -> Migrated:
    """Creates the database if it does not exist, applies the migrations that it lacks, and gives the roles of the
    services their rights (`apply_roles`). `logins` are the roles that log in, by service. Raises MigrationFailed."""
    url = writer_of(database_url)
    output = run_dbmate(url, "--migration-lock", "up")
    try:
        finished(apply_roles(url, logins or {}, own_server=own_server))
    except RolesRefused as error:
        return Migrated(output, str(error))
    except LOST_OR_REFUSED as error:
        raise MigrationFailed(f"the roles: {words_of(error)}") from None
    return Migrated(output)


def writer_of(database_url: str) -> str:
    """The address with the one host that takes writes: dbmate takes no other. Raises MigrationFailed."""
    try:
        return finished(address_of_writer(database_url))
    except LOST_OR_REFUSED as error:
        raise MigrationFailed(words_of(error)) from None


def finished(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, run in a thread of its own: an event loop may run in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def lacking(database_url: str) -> set[str]:
    """The versions of this program's migrations that the database does not have. Any service's role may ask. Raises
    LOST_OR_REFUSED: a database that nobody has migrated lets no service in, or has no list of migrations."""
    wanted = {file.name.partition("_")[0] for file in MIGRATIONS.glob("2*_*.sql")}
    connection = await postgres.connect(database_url)
    try:
        return wanted - {record["version"] for record in await connection.fetch(APPLIED)}
    finally:
        await connection.close(timeout=postgres.CONNECT_TIMEOUT_S)


def run_dbmate(database_url: str, *arguments: str) -> str:
    """Runs dbmate and returns its output. The address is in its environment, which nobody else on the machine may
    read: its arguments everybody may. Raises MigrationFailed."""
    run = subprocess.run(
        [
            str(Path(sys.executable).parent / "dbmate"),
            "--migrations-dir",
            str(MIGRATIONS),
            "--no-dump-schema",
            *arguments,
        ],
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise MigrationFailed(run.stderr.strip() or run.stdout.strip())
    return run.stdout
