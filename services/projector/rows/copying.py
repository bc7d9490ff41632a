"""COPY's binary format, which is how rows that are new reach PostgreSQL fastest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
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
PIECE_BYTES = 4 * 1024 * 1024  # of rows, in one message: PostgreSQL drops who sends one of more than 1 GiB


async def copy_rows(
    connection: Connection, table: str, packed: Iterable[bytes], columns: Sequence[str] | None = None
) -> None:
    """`packed` are rows, one or more in each part; they are taken as they are sent."""

    async def chunks() -> AsyncIterator[bytes]:
        yield HEAD
        for piece in pieces(packed):
            yield piece
            if connection.is_closed():
                return
        yield END

    await connection.copy_to_table(table, source=chunks(), columns=columns, format="binary")


def pieces(packed: Iterable[bytes], size: int = PIECE_BYTES) -> Iterator[bytes]:
    """The same bytes, in pieces of about `size`, which may begin and end anywhere."""
    held: list[bytes] = []
    length = 0
    for part in packed:
        held.append(part)
        length += len(part)
        if length >= size:
            joined, held, length = b"".join(held), [], 0
            yield from (joined[start : start + size] for start in range(0, len(joined), size))
    if held:
        yield b"".join(held)


def packed_text(text: str | None) -> bytes:
    if text is None:
        return NULL
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded
