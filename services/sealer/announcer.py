"""The announcer: publishes the stored checkpoints in order, each once.

It waits with a checkpoint until the stream has all its events. So what was published can be given back to a store that
has lost it. Each message names the one that it follows. So an announcer that stood still while another one led
publishes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import NamedTuple

import nats.errors
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError, ServiceUnavailableError

from shared import postgres
from shared.audit.notes import BadNote, checkpoint_of
from shared.audit.stream import CONFIG, STREAM, SUBJECT, last_message
from shared.event_store.store import POSITION_MAX
from shared.jetstream import NATS_LOST, join, leave
from shared.jetstream import STREAM as EVENTS
from shared.nats_server import NatsClient, NatsServer
from shared.postgres import LOST_OR_REFUSED, Connection
from shared.streams import keep_stream
from shared.tasks import keep_running
from shared.trouble import Trouble

log = logging.getLogger(__name__)

BATCH_MAX = 500
RETRY_DELAY_S = 1.0


class OtherHistory(Exception):
    """The stream has another event at the place of one that was signed: this store was left behind."""


class Last(NamedTuple):
    """The last checkpoint in the stream: its size and its sequence. Both are 0 if the stream is empty."""

    size: int
    sequence: int


class Announcer:
    """Publishes while the sealer of this process leads. The sealer calls `ring` after each checkpoint. `trouble` says
    why NATS cannot be reached."""

    def __init__(self, database_url: str, nats: NatsServer, leads: asyncio.Event) -> None:
        self._database_url, self._nats, self._leads = database_url, nats, leads
        self._rung, self.trouble = asyncio.Event(), Trouble(log, "announcer: NATS")

    def ring(self) -> None:
        self._rung.set()

    async def run(self) -> None:
        """Runs until it is cancelled. It connects again after an error."""
        await keep_running(log, "announcer", self._serve, (*LOST_OR_REFUSED, *NATS_LOST, OtherHistory), RETRY_DELAY_S)

    async def _serve(self) -> None:
        """Waits until the sealer leads, and publishes until it does not lead any more."""
        await self._leads.wait()
        connection = await postgres.connect(self._database_url)
        try:
            client = NatsClient()
            try:
                await join(client, self._nats, self.trouble)
                context = client.jetstream()
                if (wrong := (await keep_stream(context, CONFIG, self._nats.replicas)).wrong) is not None:
                    self.trouble.report(wrong)
                published = await last_announced(context)
                while self._leads.is_set():
                    self._rung.clear()
                    published = await publish_after(connection, context, published)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(RETRY_DELAY_S):
                            await self._rung.wait()
            finally:
                await leave(client)
        finally:
            connection.terminate()


async def last_announced(context: JetStreamContext) -> Last:
    """The last checkpoint in the stream."""
    message = await last_message(context)
    if message is None:
        return Last(0, 0)
    try:
        return Last(checkpoint_of(message.text).size, message.sequence)
    except BadNote:
        return Last(0, message.sequence)


async def stream_end(context: JetStreamContext) -> int:
    """The last position on the stream of the events. POSITION_MAX if there is no stream, or if the server does not let
    this user ask: the users of an earlier version may not."""
    try:
        return (await context.stream_info(EVENTS)).state.last_seq
    except (NotFoundError, ServiceUnavailableError, nats.errors.TimeoutError):
        return POSITION_MAX


EVENT = "SELECT data FROM event WHERE position = $1"


async def check_same(connection: Connection, context: JetStreamContext, position: int) -> None:
    """Raises OtherHistory if the stream of the events has another event at this position. A message that is not there
    any more says nothing; nor does a server that does not let this user ask."""
    with contextlib.suppress(NotFoundError, ServiceUnavailableError, nats.errors.TimeoutError):
        message = await context.get_msg(EVENTS, position)
        if message.data != await connection.fetchval(EVENT, position):
            raise OtherHistory(
                f"a checkpoint of {position} events was signed, and the stream {EVENTS} has another event there: it is "
                "not published. See docs/healing.md"
            )


NOTES_AFTER = "SELECT size, note FROM audit_checkpoint WHERE size > $1 AND size <= $2 ORDER BY size LIMIT $3"


async def publish_after(connection: Connection, context: JetStreamContext, last: Last) -> Last:
    """Publishes the checkpoints that follow the last one in the stream, those whose events the stream of events has.
    Returns the new last one. Raises OtherHistory, and NATS's errors, also when another announcer has published
    meanwhile."""
    size, sequence = last
    end = await stream_end(context)
    while True:
        records = await connection.fetch(NOTES_AFTER, size, end, BATCH_MAX)
        if records and end < POSITION_MAX:
            await check_same(connection, context, records[-1]["size"])
        for record in records:
            headers = {
                "Nats-Msg-Id": f"checkpoint-{record['size']}",
                "Nats-Expected-Last-Subject-Sequence": str(sequence),
                "content-type": "text/plain; charset=utf-8",
            }
            ack = await context.publish(SUBJECT, record["note"].encode(), headers=headers, stream=STREAM)
            size, sequence = record["size"], max(sequence, ack.seq)
        if len(records) < BATCH_MAX:
            return Last(size, sequence)
