"""The sealer, a checkpoint signer: adds new events to the Merkle tree and signs a checkpoint of it.

It polls the committed events; an append does not wait for it. PostgreSQL hashes the leaves: the sealer reads 32 bytes
an event. It writes a checkpoint and the tree's new hashes in one transaction, so a kill leaves nothing half done.
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

POLL_S = 0.4  # so that an event is sealed within a second, with the time that sealing takes
BATCH_MAX = 50_000
RETRY_DELAY_S = 0.5

TRY_TO_LEAD = try_lock(Lock.SEALER)


class Sealer:
    """Several may run; the one whose session holds the lock leads and seals. `on_seal` is called after each checkpoint.
    `position` is the size of the tree."""

    def __init__(
        self, database_url: str, signer: Signer, *, poll_s: float = POLL_S, on_seal: Callable[[], None] = lambda: None
    ) -> None:
        self._database_url, self._signer, self._poll_s, self._on_seal = database_url, signer, poll_s, on_seal
        self.position = 0
        self.leads = asyncio.Event()

    async def run(self) -> None:
        """Runs until it is cancelled. It connects again after an error."""
        await keep_running(log, "sealer", self._serve, LOST_OR_REFUSED, RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url)
        try:
            while not await connection.fetchval(TRY_TO_LEAD):
                await asyncio.sleep(self._poll_s)
            tree = await self._load_tree(connection)
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

    async def _load_tree(self, connection: Connection) -> Tree:
        """The tree of the latest checkpoint. Raises RuntimeError if the stored hashes do not give its root."""
        checkpoint = await latest_checkpoint(connection)
        tree = await read_tree(connection, checkpoint.size if checkpoint else 0)
        if checkpoint is not None and tree.root() != checkpoint.root:
            raise RuntimeError(f"the stored hashes do not give the root of the checkpoint at {checkpoint.size}")
        self.position = tree.size
        return tree


# One row: the number of events, the last position, and the leaf hashes (RFC 6962) joined together.
LEAVES = """
SELECT count(*), max(position), string_agg(sha256('\\x00'::bytea || data), ''::bytea ORDER BY position)
FROM event WHERE position > $1 AND position <= $1 + $2
"""


async def seal(connection: Connection, tree: Tree, signer: Signer, count_max: int = BATCH_MAX) -> int:
    """Seals the events that follow those in the tree, `count_max` at most. Returns their number. When it raises,
    nothing is written; do not use the tree any more."""
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
