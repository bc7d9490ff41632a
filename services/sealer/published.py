"""The last checkpoint that was published on NATS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from nats.js import JetStreamContext

from shared.audit.notes import BadNote, Checkpoint, Verifier, open_checkpoint
from shared.audit.stream import STREAM, last_message
from shared.jetstream import join, leave
from shared.nats_server import NatsClient, NatsServer
from shared.trouble import Trouble

log = logging.getLogger(__name__)

ASK_TIMEOUT_S = 5.0


async def last_published(server: NatsServer, keys: Sequence[Verifier]) -> Checkpoint | None:
    """The last published checkpoint that one of the keys has signed; None if there is none. Raises NATS_LOST."""
    client, trouble = NatsClient(), Trouble(log, "sealer: NATS")
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            await join(client, server, trouble)
            return await _last(client.jetstream(), keys)
    finally:
        await leave(client)


async def _last(context: JetStreamContext, keys: Sequence[Verifier]) -> Checkpoint | None:
    message = await last_message(context)
    if message is None:
        return None
    for key in keys:
        try:
            return open_checkpoint(message.text, key)
        except BadNote:
            continue
    log.warning("sealer: no known key has signed the last checkpoint on %s: it is left out", STREAM)
    return None
