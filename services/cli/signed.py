"""Whether the store has the history that was signed and published, for `hourbook status`."""

from __future__ import annotations

import asyncio

from nats.js import JetStreamContext
from nats.js.errors import ServiceUnavailableError

from shared import postgres
from shared.audit.notes import BadNote, Checkpoint, checkpoint_of
from shared.audit.stream import last_message

TIMEOUT_S = 5.0
HEALING = "see docs/healing.md"

SIGNED = "SELECT position, (SELECT root FROM audit_checkpoint WHERE size = $1) FROM event_head"


async def last_published(context: JetStreamContext) -> Checkpoint | None:
    """The last checkpoint on NATS; None if there is none, or the server does not let this user ask. Its signature is
    not verified: the sealer does that."""
    try:
        message = await last_message(context)
        return None if message is None else checkpoint_of(message.text)
    except (ServiceUnavailableError, BadNote):
        return None


async def why_unsigned(database_url: str, published: Checkpoint) -> str | None:
    """Why the sealer signs nothing; None if the store has what was published, as far as it is known. Raises asyncpg's
    errors."""
    async with asyncio.timeout(TIMEOUT_S):
        connection = await postgres.connect(database_url)
        try:
            head, root = await connection.fetchrow(SIGNED, published.size) or (0, None)
        finally:
            connection.terminate()
    if head < published.size:
        return (
            f"nothing is signed: a checkpoint of {published.size:,} events was published, and the store ends at "
            f"{head:,}. It has lost events: `hourbook heal` shows them, {HEALING}"
        )
    if root is not None and root != published.root:
        return f"another history was signed and published, over {published.size:,} events: {HEALING}"
    return None
