"""An export: one directory with everything that an auditor needs, also the program that verifies it.

events.ndjson    one event a line, byte for byte as it is stored; line n is position n
events.parquet   the same in columns, for queries
checkpoint.txt   the signed checkpoint of exactly these events
key.txt          the public keys (NAME+KEYID+KEY), the newest first
schemas/         a JSON Schema for each event type
verify.py        verifies all this; it needs only Python
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
from shared.progress_bar import Tell

README = """An export of Hourbook: the whole history up to position {size}.

    python verify.py --key KEY [--kept CHECKPOINT]

KEY is the public key that you were given when the ledger was set up. Do not use the key.txt beside this file: whoever
forges the events can forge this key too. CHECKPOINT is any checkpoint.txt that you kept from an earlier export.
verify.py needs only Python. To verify by hand: the leaf of a line is SHA-256 of a zero byte and the line without its
newline; a node is SHA-256 of a byte 1 and the two hashes below it (RFC 6962).
"""


class NothingToExport(Exception):
    """There is no checkpoint yet, or the directory is not empty."""


class Exported(NamedTuple):
    """`size`: events. `bytes`: of both files of events. `note`: the signed checkpoint."""

    size: int
    bytes: int
    note: str


def export(database_url: str, directory: Path, tell: Tell = lambda _step, _done, _total: None) -> Exported:
    """Writes the events up to the latest checkpoint, at constant memory, and all the files beside them.

    The checkpoint is written last, so an export that was interrupted does not verify. Raises NothingToExport,
    EventsMissing, and asyncpg's errors.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise NothingToExport(f"{directory} is not empty")
    checkpoint, keys = asyncio.run(_begin(database_url))
    events, parquet = directory / "events.ndjson", directory / "events.parquet"
    with events.open("wb") as file:
        asyncio.run(_write(database_url, checkpoint.size, file.write, tell))
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
            raise NothingToExport("there is no signed checkpoint yet: does the sealer run?")
        return checkpoint, await read_keys(connection)
    finally:
        await connection.close()


async def _write(database_url: str, size: int, write: Callable[[bytes], object], tell: Tell) -> None:
    connection = await postgres.connect(database_url)
    try:
        done = 0
        async for (stored,) in stream_columns(connection, ("data",), size):
            lines = b"\n".join(stored) + b"\n"
            if lines.count(b"\n") != len(stored):
                raise ValueError(f"an event after position {done} contains a newline, and one line cannot hold it")
            write(lines)
            done += len(stored)
            tell("export", done, size)
    finally:
        await connection.close()
