"""The tree's hashes and the signed checkpoints in PostgreSQL. Each statement is above the one function that uses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from shared.audit.merkle import DIGEST, Node, Tree, edge, tree_at
from shared.postgres import Connection, Reader

LEVEL_HEIGHT = 8  # the nodes of every eighth height are stored …
TILE = 1 << LEVEL_HEIGHT  # … in rows of at most 256; no row crosses a multiple of 256


class MissingHashes(Exception):
    """The database has a checkpoint but not all hashes of its tree. Hourbook itself never does this."""


class SignedCheckpoint(NamedTuple):
    """A checkpoint; `note` is the signed text."""

    size: int
    root: bytes
    note: str


LATEST = "SELECT size, root, note FROM audit_checkpoint ORDER BY size DESC LIMIT 1"


async def latest_checkpoint(reader: Reader) -> SignedCheckpoint | None:
    records = await reader.fetch(LATEST)
    return SignedCheckpoint(*records[0]) if records else None


CHECKPOINT = "SELECT size, root, note FROM audit_checkpoint WHERE size >= $1 ORDER BY size LIMIT 1"


async def checkpoint_from(reader: Reader, size: int) -> SignedCheckpoint | None:
    """The first checkpoint over at least `size` events; None if there is none."""
    records = await reader.fetch(CHECKPOINT, size)
    return SignedCheckpoint(*records[0]) if records else None


KEYS = "SELECT verifier FROM audit_key ORDER BY first_used DESC, verifier"


async def read_keys(reader: Reader) -> list[str]:
    """The verifiers of all keys that have signed a checkpoint of this ledger, the newest first."""
    return [record["verifier"] for record in await reader.fetch(KEYS)]


TILES = """
SELECT a.level, a.first, a.hashes FROM unnest($1::smallint[], $2::bigint[]) AS wanted (level, tile)
JOIN audit_hash a ON a.level = wanted.level AND a.first >= wanted.tile * 256 AND a.first < (wanted.tile + 1) * 256
ORDER BY a.level, a.first
"""


async def read_nodes(reader: Reader, nodes: Iterable[Node]) -> dict[Node, bytes]:
    """The hashes of complete nodes. Raises MissingHashes."""
    wanted = set(nodes)
    tiles: dict[Node, bytearray] = {tile_of(node): bytearray() for node in wanted}
    if not tiles:
        return {}
    for level, first, hashes in await reader.fetch(TILES, [tile[0] for tile in tiles], [tile[1] for tile in tiles]):
        tile = tiles[level, first // TILE]
        if first % TILE * DIGEST != len(tile):
            raise MissingHashes(f"level {level} has no hash {first // TILE * TILE + len(tile) // DIGEST}")
        tile += hashes
    return {node: _node_in(tiles[tile_of(node)], node) for node in wanted}


def tile_of(node: Node) -> Node:
    """The level and the number of the tile from which a node's hash is computed."""
    height, number = node
    level = height // LEVEL_HEIGHT * LEVEL_HEIGHT
    return level, number << (height - level) >> LEVEL_HEIGHT


def _node_in(tile: bytearray, node: Node) -> bytes:
    height, number = node
    below = 1 << height % LEVEL_HEIGHT
    start = number * below % TILE
    hashes = bytes(tile[start * DIGEST : (start + below) * DIGEST])
    if len(hashes) < below * DIGEST:
        raise MissingHashes(f"the node {number} of height {height} is not there")
    tree = Tree()
    tree.extend(hashes)
    return tree.root()


async def read_tree(reader: Reader, size: int) -> Tree:
    """The tree over the first `size` events, which can be extended. Raises MissingHashes."""
    return tree_at(size, (await read_nodes(reader, edge(0, size))).__getitem__)


ADD_KEY = "INSERT INTO audit_key (verifier) VALUES ($1) ON CONFLICT DO NOTHING"
ADD_HASHES = (
    "INSERT INTO audit_hash (level, first, hashes) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])"
)
ADD_CHECKPOINT = "INSERT INTO audit_checkpoint (size, previous, root, note, verifier) VALUES ($1, $2, $3, $4, $5)"


async def write_checkpoint(
    connection: Connection, previous: int, made: Sequence[bytes], checkpoint: SignedCheckpoint, verifier: str
) -> None:
    """Writes a checkpoint, and the nodes `made` (from `Tree.extend`) since the tree had `previous` leaves, in one
    transaction. Raises asyncpg.UniqueViolationError if another sealer has extended the tree of `previous` leaves."""
    rows = list(rows_of(previous, made))
    async with connection.transaction():
        await connection.execute(ADD_KEY, verifier)
        await connection.execute(ADD_HASHES, *(list(column) for column in zip(*rows, strict=True)))
        await connection.execute(ADD_CHECKPOINT, checkpoint.size, previous, checkpoint.root, checkpoint.note, verifier)


def rows_of(previous: int, made: Sequence[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """The new rows of audit_hash: level, number of the first node, hashes joined."""
    for level in range(0, len(made), LEVEL_HEIGHT):
        first, hashes = previous >> level, made[level]
        while hashes:
            count = TILE - first % TILE
            yield level, first, hashes[: count * DIGEST]
            first, hashes = first + count, hashes[count * DIGEST :]
