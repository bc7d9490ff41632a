"""The signed checkpoints of the ledger, from wherever they can be had, and the roots that they are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from services.cli.failure import Failure
from shared.audit.merkle import DIGEST, Tree
from shared.audit.notes import BadNote, Verifier, checkpoint_of, open_checkpoint
from shared.audit.stream import STREAM
from shared.postgres import Connection


class Note(NamedTuple):
    """A signed checkpoint: where it was found, and its text."""

    place: str
    text: str


class Signed(NamedTuple):
    """A checkpoint with the signature of a trusted key: it was found in `place`."""

    place: str
    size: int
    root: bytes


class Side(Enum):
    """Whose events a checkpoint was signed over."""

    BOTH = "the store and the stream"
    STORE = "the store"
    STREAM = "the stream"
    NEITHER = "neither the store nor the stream"
    UNSEEN = "more events than the store or the stream has"


class Roots:
    """Grows a tree, and keeps its root at each of `sizes`."""

    def __init__(self, tree: Tree, sizes: Iterable[int]) -> None:
        self._tree = tree
        self._sizes = sorted(size for size in set(sizes) if size > tree.size)
        self.found: dict[int, bytes] = {}

    def extend(self, leaves: bytes) -> None:
        """Adds leaves; `leaves` are their hashes, joined."""
        end = self._tree.size + len(leaves) // DIGEST
        while self._sizes and self._sizes[0] <= end:
            size = self._sizes.pop(0)
            count = (size - self._tree.size) * DIGEST
            self._tree.extend(leaves[:count])
            leaves = leaves[count:]
            self.found[size] = self._tree.root()
        self._tree.extend(leaves)

    def parted(self) -> Roots:
        """Goes on from here with other leaves."""
        return Roots(self._tree.copy(), self._sizes)


def opened(notes: Iterable[Note], keys: Sequence[Verifier]) -> tuple[list[Signed], list[str]]:
    """The notes that one of the keys has signed, and a line about each other one."""
    signed: list[Signed] = []
    wrong: list[str] = []
    for note in notes:
        problem = "there is no public key to verify it with: give it with --key"
        for key in keys:
            try:
                checkpoint = open_checkpoint(note.text, key)
            except BadNote as error:
                problem = str(error)
                continue
            signed.append(Signed(note.place, checkpoint.size, checkpoint.root))
            break
        else:
            wrong.append(f"the checkpoint in {note.place} is left out: {problem}")
    return sorted(set(signed), key=lambda one: one.size), wrong


def side_of(signed: Signed, store: Mapping[int, bytes], stream: Mapping[int, bytes]) -> Side:
    """Whose root it has. `store` and `stream`: the roots of both, by size; a size that one has not got is left out."""
    of_store, of_stream = store.get(signed.size), stream.get(signed.size)
    if of_store is None and of_stream is None:
        return Side.UNSEEN
    if of_store == of_stream == signed.root:
        return Side.BOTH
    if signed.root == of_store:
        return Side.STORE
    return Side.STREAM if signed.root == of_stream else Side.NEITHER


STORED = "SELECT size, note FROM audit_checkpoint WHERE size > $1 ORDER BY size"


async def stored_notes(connection: Connection, after: int) -> list[Note]:
    """The checkpoints in the store over more than `after` events."""
    records = await connection.fetch(STORED, after)
    return [Note(f"the store, of {record['size']:,} events", record["note"]) for record in records]


async def published_notes(context: JetStreamContext, after: int) -> list[Note]:
    """The checkpoints on the stream HOURBOOK_AUDIT over more than `after` events, and the one before them."""
    try:
        state = (await context.stream_info(STREAM)).state
    except NotFoundError:
        return []
    notes: list[Note] = []
    for sequence in range(state.last_seq, max(state.first_seq, 1) - 1, -1):  # an empty stream begins at 0
        try:
            text = ((await context.get_msg(STREAM, sequence)).data or b"").decode(errors="replace")
        except NotFoundError:
            continue
        size = _size(text)
        notes.append(Note(f"{STREAM}, of {size:,} events" if size else f"{STREAM}, message {sequence}", text))
        if size and size <= after:
            break
    return notes


def _size(text: str) -> int:
    try:
        return checkpoint_of(text).size
    except BadNote:
        return 0


def kept_notes(files: Iterable[Path]) -> list[Note]:
    """The checkpoints in files. Raises Failure."""
    try:
        return [Note(str(file), file.read_text(encoding="utf-8")) for file in files]
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"--checkpoint: {error}") from None
