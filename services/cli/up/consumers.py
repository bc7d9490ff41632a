"""A subscriber's consumers. Hourbook makes them: whoever makes a consumer says where its messages go.

A subscriber has a consumer with its name on each stream, and on that of the events also NAME-ordered, for programs
that keep their own position. The filters of the consumers are what the subscriber may read.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from nats.js.errors import NotFoundError

from services.cli.failure import Failure
from services.cli.up.embedded_nats import EmbeddedNats
from services.cli.up.servers import connect_nats
from shared import jetstream, notices
from shared.audit import stream as audit
from shared.jetstream import leave
from shared.nats_access.config import ORDERED, consumers_on
from shared.nats_access.users import STREAMS
from shared.streams import keep_stream

MARK = {"hourbook": "subscriber"}
PAGE = 256  # consumers in one answer of the server
CONFIGS = (jetstream.CONFIG, notices.CONFIG, audit.CONFIG)
EVENTS = jetstream.STREAM


class Reader(NamedTuple):
    """A subscriber, as its consumers say it. `projects` is empty when it reads all. `waiting`: events not fetched."""

    name: str
    projects: tuple[str, ...]
    waiting: int


def filters(stream: str, projects: tuple[str, ...]) -> list[str]:
    """The subjects that a subscriber of these projects reads on a stream; of all projects when there are none."""
    if stream == audit.STREAM:
        return [audit.SUBJECT]
    subject = jetstream.SUBJECT if stream == EVENTS else notices.SUBJECT
    return [f"{subject}.{project}.>" for project in projects] or [f"{subject}.>"]


def config_of(stream: str, consumer: str, projects: tuple[str, ...]) -> ConsumerConfig:
    ordered = consumer.endswith(ORDERED)
    return ConsumerConfig(
        durable_name=consumer,
        filter_subjects=filters(stream, projects),
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.NONE if ordered else AckPolicy.EXPLICIT,
        metadata=dict(MARK),
    )


async def make(context: JetStreamContext, name: str, projects: tuple[str, ...], replicas: int | None = None) -> None:
    """Makes the consumers, and the streams where there are none. Each consumer has as many replicas as its stream.
    Raises Failure if another one has the name."""
    for config in CONFIGS:
        await keep_stream(context, config, replicas)
    places = [(stream, consumer) for stream in STREAMS for consumer in consumers_on(stream, name)]
    for stream, consumer in places:
        with contextlib.suppress(NotFoundError):
            if not is_ours(await context.consumer_info(stream, consumer)):
                raise Failure(f"the stream {stream} has a consumer {consumer} already: choose another name")
    for stream, consumer in places:
        await context.add_consumer(stream, config_of(stream, consumer, projects))


async def restore(server: EmbeddedNats) -> None:
    """Makes what is missing of the consumers of an embedded server's subscribers: a stream may have been removed."""
    subscribers = server.files.subscribers()
    if not subscribers:
        return
    client = await connect_nats(server.url)
    try:
        for one in subscribers:
            await make(client.jetstream(), one.name, one.projects)
    finally:
        await leave(client)


async def remove(context: JetStreamContext, name: str) -> bool:
    """Removes the consumers. Answers whether there was one."""
    found = False
    for stream in STREAMS:
        for consumer in consumers_on(stream, name):
            with contextlib.suppress(NotFoundError):
                if is_ours(await context.consumer_info(stream, consumer)):
                    found = await context.delete_consumer(stream, consumer) or found
    return found


async def readers(context: JetStreamContext) -> list[Reader]:
    """All subscribers, by name."""
    found = [one for one in await consumers(context) if is_ours(one) and not one.name.endswith(ORDERED)]
    return sorted(Reader(one.name, projects_of(one), one.num_pending or 0) for one in found)


async def consumers(context: JetStreamContext) -> list[ConsumerInfo]:
    """All consumers of the stream of the events."""
    found: list[ConsumerInfo] = []
    with contextlib.suppress(NotFoundError):
        while True:
            page = await context.consumers_info(EVENTS, offset=len(found))
            found += page
            if len(page) < PAGE:
                break
    return found


def is_ours(info: ConsumerInfo) -> bool:
    return MARK.items() <= (info.config.metadata or {}).items()


def projects_of(info: ConsumerInfo) -> tuple[str, ...]:
    subjects = info.config.filter_subjects or [info.config.filter_subject or ""]
    if filters(EVENTS, ()) == subjects:
        return ()
    return tuple(subject.removeprefix(f"{jetstream.SUBJECT}.").removesuffix(".>") for subject in subjects)
