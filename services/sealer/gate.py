"""Whether the sealer may sign. After a failover or a restore the store may have another history than what was signed.

Each checkpoint that was published binds the ledger: somebody may have kept it. So before the first signature in a term,
the events must be those that the last published checkpoint was signed over.
"""

from __future__ import annotations

import time
from typing import NamedTuple
from uuid import UUID

from services.sealer.leaves import extended
from services.sealer.published import last_published
from shared.audit.merkle import Tree
from shared.audit.notes import Checkpoint, Signer, verifier_of
from shared.audit.store import read_keys, read_tree
from shared.errors import words_of
from shared.jetstream import NATS_LOST
from shared.nats_server import NatsServer
from shared.postgres import Connection
from shared.trouble import Trouble

ASK_AGAIN_S = 2.0

# The term of the store, whether it is that of this primary of PostgreSQL, and where it began.
TERM = """
SELECT t.term, t.system = s.system_identifier AND t.timeline = current_timeline(), t.since
FROM store_term t, pg_control_system() s
"""
HEAD = "SELECT position FROM event_head"


class Other(NamedTuple):
    """A published checkpoint that was signed over another history, and the size of the tree when that was found."""

    published: Checkpoint
    size: int


class Gate:
    """Open: the sealer may sign. `trouble` says why it is closed. `nats` is None where nothing is published."""

    def __init__(self, signer: Signer, nats: NatsServer | None, trouble: Trouble) -> None:
        self._signer, self._nats, self._trouble = signer, nats, trouble
        self._term: UUID | None = None
        self._ask_at = 0.0
        self._other: Other | None = None
        self._first = 0

    def forget(self) -> None:
        """Another process may have signed since: the next call of `opened` asks again."""
        self._term, self._ask_at = None, 0.0

    async def opened(self, connection: Connection, tree: Tree) -> bool:
        """Whether the events after those in `tree` may be signed now. Raises asyncpg's errors and EventsMissing."""
        record = await connection.fetchrow(TERM)
        assert record is not None
        term, begun, since = record
        if not begun:
            self._trouble.report("nothing is signed: the term of this primary of PostgreSQL has not begun")
            return False
        if term == self._term:
            return True
        if time.monotonic() < self._ask_at:
            return False
        if (why := await self._why_closed(connection, tree, since)) is not None:
            self._trouble.report(f"nothing is signed: {why}")
            self._ask_at = time.monotonic() + ASK_AGAIN_S
            return False
        self._term, self._other = term, None
        self._trouble.clear()
        return True

    def most(self, tree: Tree, count_max: int) -> int:
        """How many events the next checkpoint may add: one of them is over the same events as the last published."""
        return min(count_max, self._first - tree.size) if tree.size < self._first else count_max

    async def _why_closed(self, connection: Connection, tree: Tree, since: int) -> str | None:
        if self._nats is None:
            return None
        keys = [self._signer.verifier, *map(verifier_of, await read_keys(connection))]
        try:
            published = await last_published(self._nats, keys)
        except NATS_LOST as error:
            if tree.size >= since:  # it has signed in this term before
                return None
            return f"the term is new, and NATS cannot be asked what was published: {words_of(error)}"
        self._first = published.size if published else 0
        return await self._why_other(connection, tree, published) if published else None

    async def _why_other(self, connection: Connection, tree: Tree, published: Checkpoint) -> str | None:
        head = int(await connection.fetchval(HEAD))
        if head < published.size:
            return (
                f"a checkpoint of {published.size} events was published, and the store has lost events: it ends at "
                f"{head}. When `hourbook heal` has given them back, it goes on"
            )
        if self._other != Other(published, tree.size):
            if await self._root(connection, tree, published.size) == published.root:
                return None
            self._other = Other(published, tree.size)
        return (
            f"another history was signed: the published checkpoint of {published.size} events has another root than "
            "the first events of this store. docs/healing.md says what a person can do"
        )

    async def _root(self, connection: Connection, tree: Tree, size: int) -> bytes:
        """The root over the first `size` events, which the store has."""
        if size <= tree.size:
            return (await read_tree(connection, size)).root()
        return (await extended(connection, tree.copy(), size)).root()
