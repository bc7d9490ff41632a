"""COPY's binary format, which is how rows that are new reach PostgreSQL fastest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
HOUR_US = 3_600_000_000
Y2000 = 262_968  # the hour at which PostgreSQL's timestamps start


async def copy_rows(
    connection: Connection, table: str, packed: Iterable[bytes], columns: Sequence[str] | None = None
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield HEAD
        yield b"".join(packed)
        yield END

    await connection.copy_to_table(table, source=chunks(), columns=columns, format="binary")


def packed_text(text: str | None) -> bytes:
    if text is None:
        return NULL
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded
