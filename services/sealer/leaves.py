"""The leaf hashes of the stored events. PostgreSQL computes them: 32 bytes an event are read."""

from __future__ import annotations

from shared.audit.merkle import Tree
from shared.event_store.ranges import check_whole
from shared.event_store.store import PositionGap
from shared.postgres import Connection

BATCH_MAX = 50_000

# One row: the number of events, the last position, and the leaf hashes (RFC 6962) joined together.
LEAVES = """
SELECT count(*), max(position), string_agg(sha256('\\x00'::bytea || data), ''::bytea ORDER BY position)
FROM event WHERE position > $1 AND position <= $1 + $2
"""


async def read_leaves(connection: Connection, after: int, count_max: int) -> tuple[int, bytes]:
    """The number of events that follow position `after`, `count_max` at most, and their leaf hashes, joined. Raises
    PositionGap."""
    record = await connection.fetchrow(LEAVES, after, count_max)
    assert record is not None
    count, last, leaves = record
    if count and last != after + count:
        raise PositionGap(f"the {count} events after {after} end at {last}")
    return int(count), leaves or b""


async def extended(connection: Connection, tree: Tree, size: int) -> Tree:
    """The tree, which gets the leaves of the events up to `size`. Raises PositionGap and EventsMissing."""
    while tree.size < size:
        count, leaves = await read_leaves(connection, tree.size, min(BATCH_MAX, size - tree.size))
        check_whole(count, tree.size, min(tree.size + BATCH_MAX, size))
        tree.extend(leaves)
    return tree
