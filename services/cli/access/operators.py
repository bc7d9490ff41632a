"""Work of the operator, straight in the database: it needs no credential of Hourbook's, but the database's own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from services.cli.failure import Failure
from services.cli.up.directory import DataDirectory, default_directory
from services.cli.up.servers import DATABASE, redacted
from shared import postgres
from shared.errors import HourbookError
from shared.postgres import LOST_OR_REFUSED, Connection

T = TypeVar("T")


def in_database(data_dir: Path | None, work: Callable[[Connection], Awaitable[T]]) -> T:
    """The result of `work`, done in one transaction of the ledger's database. Raises Failure."""
    return asyncio.run(_in_transaction(database_of(data_dir), work))


def database_of(data_dir: Path | None) -> str:
    """The database's address: HOURBOOK_DATABASE_URL, or that of the `hourbook up` in `data_dir`. Raises Failure."""
    if data_dir is None and (named := os.environ.get(DATABASE)):
        return named
    directory = DataDirectory(data_dir or default_directory(os.environ))
    run = directory.read_run()
    if run is None:
        raise Failure(
            f"nothing runs in {directory.path}: start `hourbook up`, give the --data-dir of the one that runs, "
            f"or set {DATABASE}"
        )
    return run.database_url


async def _in_transaction(url: str, work: Callable[[Connection], Awaitable[T]]) -> T:
    try:
        connection = await postgres.connect(url)
        try:
            async with connection.transaction():
                return await work(connection)
        finally:
            connection.terminate()
    except HourbookError as error:
        raise Failure(error.detail) from None
    except (*LOST_OR_REFUSED, ValueError) as error:
        raise Failure(redacted(str(error) or type(error).__name__, url)) from None
