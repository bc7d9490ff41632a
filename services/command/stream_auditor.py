"""Compares every message of the stream with the store, slowly, round after round, in the process whose relay publishes.

The relay looks at the last message only. A message that somebody has changed before it is found here. Commands go on:
the store is the truth, and both end the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from services.command.relay import Relay
from services.command.stream_look import message_at
from shared import postgres
from shared.event_store.ranges import EventsMissing
from shared.jetstream import NATS_LOST, STREAM, join, leave
from shared.nats_access.users import RELAY_INBOX
from shared.nats_server import NatsClient, NatsServer
from shared.postgres import LOST_OR_REFUSED, Connection
from shared.stream_messages import Leaf, difference, read_leaves
from shared.tasks import keep_running
from shared.trouble import Trouble

log = logging.getLogger(__name__)

PIECE = 20  # messages that are read together
PIECE_S = 0.5  # a piece begins each half second: one percent of a processor
BATCH_MAX = 1000  # events that are read from the store together
ROUND_S = 60.0  # a round of a short stream takes this long
WRONG_MAX = 1000  # positions that are remembered
NAMED_MAX = 5
RETRY_DELAY_S = 5.0
ERRORS = (*LOST_OR_REFUSED, *NATS_LOST, EventsMissing)


class StreamAuditor:
    """`run` once. `position` is how far the present round has come. `differences` counts the messages that are not the
    store's events. `round_ended` is the time (Unix, in seconds) when the last whole round ended; None before."""

    def __init__(
        self, database_url: str, nats: NatsServer, relay: Relay, *, piece_s: float = PIECE_S, round_s: float = ROUND_S
    ) -> None:
        self._database_url, self._nats, self._relay = database_url, nats, relay
        self._piece_s, self._round_s = piece_s, round_s
        self._wrong: dict[int, str] = {}
        self.position = 0
        self.round_ended: float | None = None
        self.trouble = Trouble(log, "stream auditor")

    @property
    def differences(self) -> int:
        return len(self._wrong)

    async def run(self) -> None:
        """Runs until it is cancelled. It connects again after an error."""
        await keep_running(log, "stream auditor", self._serve, ERRORS, RETRY_DELAY_S)

    async def _serve(self) -> None:
        """Audits while the relay leads and agrees with the store."""
        await self._until_needed()
        connection, client = await postgres.connect(self._database_url), NatsClient()
        try:
            await join(client, self._nats, Trouble(log, "stream auditor: NATS"), RELAY_INBOX)
            while self._needed():
                await self._round(connection, client.jetstream())
        finally:
            connection.terminate()
            await leave(client)
            self._forget()

    def _needed(self) -> bool:
        return self._relay.leads and self._relay.agreement.problem is None

    async def _until_needed(self) -> None:
        while not self._needed():
            await asyncio.sleep(self._piece_s)

    def _forget(self) -> None:
        self.position, self._wrong = 0, {}
        self.trouble.clear()

    async def _round(self, connection: Connection, context: JetStreamContext) -> None:
        began, self.position = time.monotonic(), 0
        while self._needed() and (end := min(self._relay.last_sequence, self.position + BATCH_MAX)) > self.position:
            leaves = await read_leaves(connection, self.position, end)
            for first in range(0, len(leaves), PIECE):
                await self._compare(context, leaves[first : first + PIECE])
                self.position = leaves[first].position + len(leaves[first : first + PIECE]) - 1
                await self._rest(connection, context)
        self.round_ended = time.time()
        while self._needed() and time.monotonic() < began + self._round_s:
            await self._rest(connection, context)

    async def _rest(self, connection: Connection, context: JetStreamContext) -> None:
        """Waits, and looks again at what was wrong: it may be mended."""
        await asyncio.sleep(self._piece_s)
        for position in [*self._wrong][:PIECE]:
            await self._compare(context, await read_leaves(connection, position - 1, position))

    async def _compare(self, context: JetStreamContext, leaves: Sequence[Leaf]) -> None:
        for leaf in leaves:
            if leaf.position > self._relay.last_sequence:  # the stream was removed, and is filled again
                continue
            how = await _wrong_with(context, leaf)
            if how is None:
                self._wrong.pop(leaf.position, None)
            elif len(self._wrong) < WRONG_MAX:
                self._wrong[leaf.position] = how
        self._tell()

    def _tell(self) -> None:
        if not self._wrong:
            self.trouble.clear()
            return
        named = ", ".join(f"{position} ({how})" for position, how in [*self._wrong.items()][:NAMED_MAX])
        what = "1 message is" if self.differences == 1 else f"{self.differences} messages are"
        self.trouble.report(
            f"{what} not the store's event on the stream {STREAM}: {named}. `hourbook heal` shows all, and "
            "docs/healing.md says what to do"
        )


async def _wrong_with(context: JetStreamContext, leaf: Leaf) -> str | None:
    """How the message at the leaf's position differs from the store's event; None if it does not, and if the stream
    ends before it: a stream that was removed is filled again, and the relay tells whatever keeps it from that."""
    message = await message_at(context, leaf.position)
    if message is None:
        try:
            ends = (await context.stream_info(STREAM)).state.last_seq
        except NotFoundError:
            return None
        if ends < leaf.position:
            return None
        message = await message_at(context, leaf.position)  # again: the stream may have been filled meanwhile
    return "it is not there any more" if message is None else difference(leaf, message)
