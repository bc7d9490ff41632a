"""A look at the stream: where it ends, and whether its last message is the store's event at that position."""

from __future__ import annotations

import contextlib

import msgspec
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from shared.event_store import EventStore, Stored
from shared.event_store.store import PositionGap
from shared.events import TermBegan
from shared.jetstream import STREAM, NotAnEvent, cloud_event, open_stream, stored_of, wrong_with

HEAL = "`hourbook heal` shows what differs, and docs/healing.md says what to do"
# A cluster that chooses a leader for the stream answers nothing meanwhile: it is asked again.
ANSWER_S = 2.0


class ForeignHistory(Exception):
    """The stream has events that are not the store's. Nothing is published and nothing accepted until a person has
    settled it."""


class Look(msgspec.Struct, frozen=True):
    """What a look found. `last` is the stream's last sequence. `wrong` says what is wrong with its configuration; None
    if nothing is. `ahead` is the one event that the stream has and the store has not, if it is a TermBegan."""

    last: int
    wrong: str | None
    ahead: Stored | None = None


async def look_at_stream(store: EventStore, client: Client, replicas: int | None = None) -> Look:
    """Raises StreamTaken, NATS's errors, and ForeignHistory unless the stream is a part of the store or equal to it. A
    TermBegan may be on the stream alone: whoever begins a term publishes it first."""
    context = client.jetstream(timeout=ANSWER_S)
    info, too_few = await open_stream(context, replicas)
    last, wrong = info.state.last_seq, wrong_with(info.config) or too_few
    if last == 0:
        return Look(0, wrong)
    head = await store.head()
    if last > head:
        return Look(last, wrong, await _term_ahead(store, context, head, last))
    await _check_same(store, context, last)
    return Look(last, wrong)


async def _check_same(store: EventStore, context: JetStreamContext, position: int) -> None:
    """Raises ForeignHistory unless the message is the event at `position`, which the store has; PositionGap if it has
    not."""
    message = await message_at(context, position)
    events = await store.after(position - 1, 1)
    if not events:
        raise PositionGap(f"the store has no event {position}, and says that it has")
    if message is not None and (message.subject, message.data) != (cloud_event(events[0])[0], events[0].data):
        raise ForeignHistory(
            f"message {position} of the stream {STREAM} is not the event {position} of the store: one of them has gone "
            f"on without the other. {HEAL}"
        )


async def _term_ahead(store: EventStore, context: JetStreamContext, head: int, last: int) -> Stored:
    """The TermBegan with which the stream is one ahead of the store. Raises ForeignHistory for anything else."""
    if head:
        await _check_same(store, context, head)
    if last == head + 1 and (message := await message_at(context, last)) is not None:
        with contextlib.suppress(NotAnEvent):
            if (event := stored_of(message)).type == TermBegan.__name__:
                return event
    lost = f"{last - head} event{'s' * (last > head + 1)}"
    raise ForeignHistory(f"the stream {STREAM} ends at {last}, the store at {head}: the store has lost {lost}. {HEAL}")


async def message_at(context: JetStreamContext, sequence: int) -> RawStreamMsg | None:
    """A message of the stream; None if it was removed."""
    try:
        return await context.get_msg(STREAM, sequence)
    except NotFoundError:
        return None
