"""The sealer: tails the positions, adds each event's bytes to the Merkle tree, signs a checkpoint.

It polls, and reads what is committed: an append neither knows of it nor waits for it. The leaves are hashed where they
lie, in the database; 32 bytes an event are read, not the event. All that a checkpoint needs is written with it in one
transaction, so that there is no moment at which being killed leaves anything half done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from shared import postgres
from shared.audit.merkle import Tree
from shared.audit.notes import Signer
from shared.audit.store import SignedCheckpoint, latest_checkpoint, read_tree, write_checkpoint
from shared.event_store.store import PositionGap
from shared.locks import Lock, try_lock
from shared.postgres import LOST_OR_REFUSED, Connection
from shared.tasks import keep_running

log = logging.getLogger(__name__)

POLL_S = 0.4  # an event is sealed within a second: this, and the time that the sealing takes
BATCH_MAX = 50_000
RETRY_DELAY_S = 0.5

TRY_TO_LEAD = try_lock(Lock.SEALER)


class Sealer:
    """Many may run; the one whose session holds the lock seals. `on_seal` is called after each checkpoint."""

    def __init__(
        self, database_url: str, signer: Signer, *, poll_s: float = POLL_S, on_seal: Callable[[], None] = lambda: None
    ) -> None:
        self._database_url, self._signer, self._poll_s, self._on_seal = database_url, signer, poll_s, on_seal
        self.position = 0
        self.leads = asyncio.Event()

    async def run(self) -> None:
        """Seals until it is cancelled, over lost connections."""
        await keep_running(log, "sealer", self._serve, LOST_OR_REFUSED, RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url)
        try:
            while not await connection.fetchval(TRY_TO_LEAD):
                await asyncio.sleep(self._poll_s)
            tree = await self._begin(connection)
            self.leads.set()
            while True:
                if not await seal(connection, tree, self._signer):
                    await asyncio.sleep(self._poll_s)
                    continue
                self.position = tree.size
                self._on_seal()
        finally:
            self.leads.clear()
            connection.terminate()

    async def _begin(self, connection: Connection) -> Tree:
        """The tree as it was sealed last."""
        checkpoint = await latest_checkpoint(connection)
        tree = await read_tree(connection, checkpoint.size if checkpoint else 0)
        if checkpoint is not None and tree.root() != checkpoint.root:
            raise RuntimeError(f"the stored hashes do not give the root of the checkpoint at {checkpoint.size}")
        self.position = tree.size
        return tree


# One row: how many there are, the last one's position, and their leaf hashes (RFC 6962), one after the other.
LEAVES = """
SELECT count(*), max(position), string_agg(sha256('\\x00'::bytea || data), ''::bytea ORDER BY position)
FROM event WHERE position > $1 AND position <= $1 + $2
"""


async def seal(connection: Connection, tree: Tree, signer: Signer, count_max: int = BATCH_MAX) -> int:
    """Seals the events after the tree's, so many at most; answers how many there were. When it raises, nothing is
    written, and the tree is of no more use."""
    record = await connection.fetchrow(LEAVES, tree.size, count_max)
    assert record is not None
    count, last, leaves = record
    if not count:
        return 0
    if last != tree.size + count:
        raise PositionGap(f"the {count} events after {tree.size} end at {last}")
    previous, made = tree.size, tree.extend(leaves)
    root = tree.root()
    checkpoint = SignedCheckpoint(tree.size, root, signer.sign(tree.size, root))
    await write_checkpoint(connection, previous, made, checkpoint, signer.verifier.text())
    return int(count)
