"""An export: everything an auditor needs in one directory, the program that verifies it included.

events.ndjson    an event a line, byte for byte as it is stored, line n is position n
events.parquet   the same in columns, for questions
checkpoint.txt   the signed checkpoint of just these events
key.txt          the public keys that sign (NAME+KEYID+KEY), the newest first
schemas/         a JSON Schema an event type
verify.py        verifies all this with nothing but Python
README.txt
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from services.cli.audit import verify
from services.cli.audit.columns import write_parquet
from shared import postgres
from shared.audit.store import SignedCheckpoint, latest_checkpoint, read_keys
from shared.event_store.ranges import stream_columns
from shared.events.schemas import event_schemas

README = """An export of Hourbook: the whole history up to position {size}.

    python verify.py --key KEY [--kept CHECKPOINT]

KEY is the public key that you were given when the ledger was set up (not the key.txt beside this file, which whoever
forged the rest would have forged too); CHECKPOINT is any checkpoint.txt that you kept from before.
The Python program needs nothing else. By hand: the leaf of a line is SHA-256 of a zero byte and the line without its
newline; a node is SHA-256 of a byte 1 and the two hashes below it (RFC 6962).
"""

Progress = Callable[[int, int], None]


class NothingToExport(Exception):
    """There is no checkpoint yet, or the directory holds something already."""


class Exported(NamedTuple):
    size: int
    bytes: int
    note: str


def export(database_url: str, directory: Path, progress: Progress = lambda _done, _all: None) -> Exported:
    """Writes the events up to the latest checkpoint, at constant memory. The checkpoint is written last: what was
    broken off does not verify. Raises NothingToExport, EventsMissing and asyncpg's errors."""
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise NothingToExport(f"{directory} is not empty")
    checkpoint, keys = asyncio.run(_begin(database_url))
    events, parquet = directory / "events.ndjson", directory / "events.parquet"
    with events.open("wb") as file:
        asyncio.run(_write(database_url, checkpoint.size, file.write, progress))
    write_parquet(events, parquet)
    schemas = directory / "schemas"
    schemas.mkdir()
    for name, schema in event_schemas().items():
        (schemas / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(schema)) + b"\n")
    shutil.copyfile(verify.__file__, directory / "verify.py")
    (directory / "README.txt").write_text(README.format(size=checkpoint.size), encoding="utf-8")
    (directory / "key.txt").write_text("".join(f"{key}\n" for key in keys), encoding="utf-8")
    (directory / "checkpoint.txt").write_text(checkpoint.note, encoding="utf-8")
    return Exported(checkpoint.size, events.stat().st_size + parquet.stat().st_size, checkpoint.note)


async def _begin(database_url: str) -> tuple[SignedCheckpoint, list[str]]:
    connection = await postgres.connect(database_url)
    try:
        checkpoint = await latest_checkpoint(connection)
        if checkpoint is None:
            raise NothingToExport("nothing has been sealed yet: is the sealer running?")
        return checkpoint, await read_keys(connection)
    finally:
        await connection.close()


async def _write(database_url: str, size: int, write: Callable[[bytes], object], progress: Progress) -> None:
    connection = await postgres.connect(database_url)
    try:
        done = 0
        async for (stored,) in stream_columns(connection, ("data",), size):
            lines = b"\n".join(stored) + b"\n"
            if lines.count(b"\n") != len(stored):
                raise ValueError(f"an event after position {done} holds a newline, which JSON on a line cannot")
            write(lines)
            done += len(stored)
            progress(done, size)
    finally:
        await connection.close()
