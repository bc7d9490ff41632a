"""The event stream in NATS JetStream: message n is position n, on `hourbook.events.<project>.<EventType>`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote
from uuid import uuid4

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import BadRequestError, NotFoundError

from shared.event_store import Stored
from shared.trouble import Trouble

STREAM = "HOURBOOK"
SUBJECT = "hourbook.events"
SUBJECTS = [f"{SUBJECT}.>"]
SUBJECTS_OVERLAP = 10065
DOORBELL = "hourbook.doorbell"  # for the relay: something was appended
NEWS = "hourbook.news"  # for who reads the store: the relay has seen that something was
LIMITS = ("max_msgs", "max_bytes", "max_age", "max_msgs_per_subject", "max_msg_size")
KINDS = {
    "sealed": "sealed",
    "no_ack": "without acknowledgements",
    "mirror": "a mirror",
    "sources": "filled from other streams",
    "subject_transform": "one that renames",
}
BATCH_MAX = 1000  # the server's own limit of an atomic batch
SINGLY_MAX = 16  # an atomic batch costs the server 6 ms on disc whatever its size, a message 0.3 ms
PUBLISH_TIMEOUT_S = 5.0
LEAVE_TIMEOUT_S = 2.0
SEQUENCE_DIGITS = 20
# The connection or the NATS server is lost, or it does not answer in time (OSError, and so TimeoutError).
NATS_LOST = (nats.errors.Error, OSError)


class PublishRefused(Exception):
    """The stream did not take a batch: mostly because another relay was faster. Read its last sequence, go on there."""


class StreamTaken(Exception):
    """The stream is not there and cannot be made."""


class _Error(msgspec.Struct):
    description: str = ""
    err_code: int = 0


class _Ack(msgspec.Struct):
    stream: str = ""
    seq: int = 0
    error: _Error | None = None


_ack = msgspec.json.Decoder(_Ack)


async def join(client: Client, url: str, trouble: Trouble) -> None:
    """Connects, and goes on trying for as long as it is not cancelled, now and whenever the connection is lost. What is
    wrong is said as `trouble`, which outlives the client: by itself that writes a traceback every two seconds."""

    async def wrong(error: Exception) -> None:
        trouble.is_so(f"{type(error).__name__}: {error}".removesuffix(": "))

    async def over() -> None:
        trouble.is_over()

    await client.connect(url, max_reconnect_attempts=-1, connect_timeout=2, error_cb=wrong, reconnected_cb=over)
    trouble.is_over()


async def leave(client: Client) -> None:
    """Closes a connection, on whatever terms."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(LEAVE_TIMEOUT_S):
            await client.close()


async def ensure_stream(context: JetStreamContext) -> int:
    """Makes the stream if there is none; answers its last sequence. Raises as `open_stream`."""
    return (await open_stream(context)).state.last_seq


async def open_stream(context: JetStreamContext) -> StreamInfo:
    """The stream, which is made if there is none. Raises StreamTaken, and NATS's errors."""
    try:
        return await context.stream_info(STREAM)
    except NotFoundError:
        config = StreamConfig(
            name=STREAM, subjects=SUBJECTS, storage=StorageType.FILE, allow_atomic=True, allow_direct=True
        )
    try:
        return await context.add_stream(config)
    except BadRequestError as error:
        if error.err_code != SUBJECTS_OVERLAP:
            raise
        taker = await context.find_stream_name_by_subject(SUBJECTS[0])
        raise StreamTaken(
            f"the stream {STREAM} is not there, and cannot be made: the stream {taker} has its subjects "
            f"{SUBJECTS[0]}; when that is removed, or has others, {STREAM} is made and filled from the store"
        ) from None


def wrong_with(config: StreamConfig) -> str | None:
    """Why the stream cannot hold every event as its message, from the first on; None when it can."""
    limits = {name: getattr(config, name) or 0 for name in LIMITS}
    wrong = [f"its {name} is {limit:g} and should be no limit" for name, limit in limits.items() if limit > 0]
    if config.subjects != SUBJECTS:
        wrong.append(f"its subjects are {', '.join(config.subjects or ['none'])} and should be {SUBJECTS[0]}")
    if config.retention != RetentionPolicy.LIMITS:
        wrong.append(f"its retention is {config.retention} and should be limits")
    if config.storage != StorageType.FILE:
        wrong.append(f"its storage is {config.storage} and should be file")
    wrong += [f"it is {meaning} and should not be" for name, meaning in KINDS.items() if getattr(config, name)]
    if not config.allow_atomic:
        wrong.append("it takes no atomic batches (allow_atomic) and should")
    return f"the stream {STREAM} is not as it must be: {'; '.join(wrong)}" if wrong else None


def cloud_event(event: Stored) -> tuple[str, dict[str, str]]:
    """An event's subject and its CloudEvents headers (NATS binding, binary mode); the body is its stored bytes."""
    subject = subject_of(event.stream, event.type)
    headers = {
        "ce-specversion": "1.0",
        "ce-id": str(event.position),
        "ce-source": "/hourbook",
        "ce-type": event.type,
        "ce-subject": quote(event.stream, safe=""),
        "ce-sequence": f"{event.position:0{SEQUENCE_DIGITS}}",
        "ce-streamversion": str(event.version),
        "content-type": "application/json",
    }
    return subject, headers


@lru_cache(maxsize=4096)
def subject_of(stream: str, event_type: str) -> str:
    """A project's id is a slug; should a stored one not be, it must not be able to break the protocol."""
    return f"{SUBJECT}.{quote(stream, safe='').replace('.', '%2E')}.{event_type}"


async def publish_batch(
    client: Client, last_sequence: int, events: Sequence[Stored], timeout_s: float = PUBLISH_TIMEOUT_S
) -> int:
    """Publishes `events` if the stream ends at `last_sequence`; answers its new last sequence.

    A few go one by one, each naming the sequence before it, so that none is stored after one that was not; many go as
    an atomic batch, all or none. Either way the answer to the last says that all are stored. Raises PublishRefused when
    the stream ends elsewhere, TimeoutError when the outcome is not known.
    """
    batch_id = uuid4().hex
    singly = len(events) <= SINGLY_MAX
    frames = []
    for number, event in enumerate(events, 1):
        subject, headers = cloud_event(event)
        if singly or number == 1:
            headers["Nats-Expected-Stream"] = STREAM
            headers["Nats-Expected-Last-Sequence"] = str(last_sequence + number - 1)
        if not singly:
            headers |= {"Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(number)}
        if number < len(events):
            frames.append(hpub(subject, headers, event.data))
            continue
        if not singly:
            headers["Nats-Batch-Commit"] = "1"
        # The client's own publish checks and copies each header of each message: 18 of 25 us an event. What these
        # headers hold needs no check, so the messages are handed to its buffer as they go over the wire. The function
        # is private: tests/integration/test_nats_client.py says for which versions it was read, and what to do if it
        # changes.
        await client._send_command(b"".join(frames))
        reply = await client.request(subject, event.data, timeout=timeout_s, headers=headers)
        ack = _ack.decode(reply.data)
        if ack.error is not None:
            raise PublishRefused(f"{ack.error.err_code}: {ack.error.description}")
        if ack.stream != STREAM:
            raise PublishRefused(f"the stream {ack.stream} has taken it")
        return ack.seq
    return last_sequence


def hpub(subject: str, headers: dict[str, str], body: bytes) -> bytes:
    """A message with headers as NATS' protocol has it."""
    head = "".join(["NATS/1.0\r\n", *[f"{name}: {value}\r\n" for name, value in headers.items()], "\r\n"]).encode()
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (subject.encode(), len(head), len(head) + len(body), head, body)
