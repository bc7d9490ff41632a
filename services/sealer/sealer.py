"""The sealer, a checkpoint signer: adds new events to the Merkle tree and signs a checkpoint of it.

It polls the committed events; an append does not wait for it. It writes a checkpoint and the tree's new hashes in one
transaction, so a kill leaves nothing half done. After a failover or a restore it signs when the store has the history
that was published (gate.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from services.sealer.gate import Gate
from services.sealer.leaves import BATCH_MAX, read_leaves
from shared import postgres
from shared.audit.merkle import Tree
from shared.audit.notes import Signer
from shared.audit.store import SignedCheckpoint, latest_checkpoint, read_tree, write_checkpoint
from shared.locks import Lock, try_lock
from shared.nats_server import NatsServer
from shared.postgres import LOST_OR_REFUSED, Connection
from shared.tasks import keep_running
from shared.trouble import Trouble

log = logging.getLogger(__name__)

POLL_S = 0.4  # so that an event is sealed within a second, with the time that sealing takes
RETRY_DELAY_S = 0.5

TRY_TO_LEAD = try_lock(Lock.SEALER)


class Sealer:
    """Several may run; the one whose session holds the lock leads and seals. `on_seal` is called after each checkpoint,
    `on_batch` with the number of its new events and its seconds. `position` is the size of the tree. With `nats` it
    signs no other history than was published there.

    `leads` is set while it leads and may sign. `trouble` says why it may not.
    """

    def __init__(
        self,
        database_url: str,
        signer: Signer,
        *,
        nats: NatsServer | None = None,
        poll_s: float = POLL_S,
        on_seal: Callable[[], None] = lambda: None,
        on_batch: Callable[[int, float], None] = lambda _events, _seconds: None,
    ) -> None:
        self._database_url, self._signer, self._poll_s = database_url, signer, poll_s
        self._on_seal, self._on_batch = on_seal, on_batch
        self.position = 0
        self.leads = asyncio.Event()
        self.trouble = Trouble(log, "sealer")
        self._gate = Gate(signer, nats, self.trouble)

    async def run(self) -> None:
        """Runs until it is cancelled. It connects again after an error."""
        await keep_running(log, "sealer", self._serve, LOST_OR_REFUSED, RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url, server_settings=postgres.LEADING)
        try:
            while not await connection.fetchval(TRY_TO_LEAD):
                await asyncio.sleep(self._poll_s)
            tree = await self._load_tree(connection)
            self._gate.forget()
            while True:
                began = asyncio.get_running_loop().time()
                sealed = await self._seal(connection, tree)
                if sealed:
                    self.position = tree.size
                    self._on_batch(sealed, asyncio.get_running_loop().time() - began)
                    self._on_seal()
                if sealed < BATCH_MAX:  # a checkpoint costs the same for one event and for a thousand
                    await asyncio.sleep(self._poll_s)
        finally:
            self.leads.clear()
            connection.terminate()

    async def _seal(self, connection: Connection, tree: Tree) -> int:
        """Seals what may be sealed now. Returns the number of events."""
        if not await self._gate.opened(connection, tree):
            self.leads.clear()
            return 0
        self.leads.set()
        return await seal(connection, tree, self._signer, self._gate.most(tree, BATCH_MAX))

    async def _load_tree(self, connection: Connection) -> Tree:
        """The tree of the latest checkpoint. Raises RuntimeError if the stored hashes do not give its root."""
        checkpoint = await latest_checkpoint(connection)
        tree = await read_tree(connection, checkpoint.size if checkpoint else 0)
        if checkpoint is not None and tree.root() != checkpoint.root:
            raise RuntimeError(f"the stored hashes do not give the root of the checkpoint at {checkpoint.size}")
        self.position = tree.size
        return tree


async def seal(connection: Connection, tree: Tree, signer: Signer, count_max: int = BATCH_MAX) -> int:
    """Seals the events that follow those in the tree, `count_max` at most. Returns their number. When it raises,
    nothing is written; do not use the tree any more."""
    count, leaves = await read_leaves(connection, tree.size, count_max)
    if not count:
        return 0
    previous, made = tree.size, tree.extend(leaves)
    root = tree.root()
    checkpoint = SignedCheckpoint(tree.size, root, signer.sign(tree.size, root))
    await write_checkpoint(connection, previous, made, checkpoint, signer.verifier.text())
    return count
