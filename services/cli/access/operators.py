"""Work of the operator, straight in the database: it needs no credential of Hourbook's, but the database's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from services.cli.failure import Failure
from services.cli.up.database import database_of
from services.cli.up.servers import redacted
from shared import postgres
from shared.errors import HourbookError, words_of
from shared.postgres import LOST_OR_REFUSED, Connection

T = TypeVar("T")


def in_database(data_dir: Path | None, work: Callable[[Connection], Awaitable[T]]) -> T:
    """The result of `work`, done in one transaction of the ledger's database. Raises Failure."""
    return asyncio.run(_in_transaction(database_of(data_dir, "command"), work))


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
        raise Failure(redacted(words_of(error), url)) from None
