"""The event stream in NATS JetStream: message n is position n, on `hourbook.events.<project>.<EventType>`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from random import shuffle
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID, uuid4

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError

from shared.event_store import Stored
from shared.events import decode_envelope
from shared.nats_server import BadNatsSetting, NatsClient, NatsServer, is_refusal, why
from shared.streams import Kept, is_kept, keep_stream
from shared.trouble import Trouble

STREAM = "HOURBOOK"
SUBJECT = "hourbook.events"
SUBJECTS = [f"{SUBJECT}.>"]
CONFIG = StreamConfig(name=STREAM, subjects=SUBJECTS, storage=StorageType.FILE, allow_atomic=True, allow_direct=True)
SUBJECTS_OVERLAP = 10065
DOORBELL = "hourbook.doorbell"  # a message to the relay: something was appended
RELAYED = "hourbook.relayed"  # a message of the relay to the command services: how far the stream is
NEWS = "hourbook.news"  # a message of the relay to those who read the store: there are new events
NO_ROOM = (10023, 10047)  # the server's codes: its disc is full, or its limit of storage is reached
MAKE_ROOM = "the NATS server has no room: give its disc room, and restart it (it looks only when it starts)"
NO_LIMITS = ("max_msgs", "max_bytes", "max_age", "max_msgs_per_subject", "max_msg_size")
FORBIDDEN = {
    "sealed": "sealed",
    "no_ack": "without acknowledgements",
    "mirror": "a mirror",
    "sources": "filled from other streams",
    "subject_transform": "one that renames",
}
BATCH_MAX = 1000  # the server's own limit of an atomic batch
SINGLY_MAX = 16  # events: an atomic batch of any size takes the server 6 ms, a single message 0.3 ms
PUBLISH_TIMEOUT_S = 5.0
LEAVE_TIMEOUT_S = 2.0
CONNECT_TIMEOUT_S = 2
RECONNECT_WAIT_S = 1  # before the same server is tried again
# A silent server is left after three of these intervals. The client's defaults would wait for six minutes.
PING_INTERVAL_S, PINGS_UNANSWERED_MAX = 1, 2
FILE_RETRY_S = 1.0
SEQUENCE_DIGITS = 20
# The connection or the NATS server is lost, or it does not answer in time (OSError, and so TimeoutError).
NATS_LOST = (nats.errors.Error, OSError)


class PublishRefused(Exception):
    """The stream did not take a batch, mostly because another relay was faster. Go on from the stream's last
    sequence."""


class StreamTaken(Exception):
    """The stream does not exist and cannot be made, because another stream has its subjects."""


class _Error(msgspec.Struct):
    description: str = ""
    err_code: int = 0


class _Ack(msgspec.Struct):
    stream: str = ""
    seq: int = 0
    error: _Error | None = None


_ack = msgspec.json.Decoder(_Ack)


async def join(
    client: Client,
    server: NatsServer,
    trouble: Trouble,
    inbox: str = "_INBOX",
    on_error: Callable[[], None] = lambda: None,
) -> None:
    """Connects to NATS. Tries until it is cancelled, now and after the connection is lost. Reports errors to `trouble`:
    the client alone would log a traceback every two seconds. Calls `on_error` for an error while there is no
    connection, when there were as many as there are servers: one of them that is away says nothing. Answers come to
    subjects that begin with `inbox`."""

    refused, errors = False, 0

    async def note(error: Exception) -> None:
        nonlocal refused, errors
        if not client.is_connected:
            errors += 1
            if errors >= len(options["servers"]):
                on_error()
        if not (refused and isinstance(error, ConnectionResetError)):  # the end of a connection that was refused
            trouble.report(why(error))
        refused = is_refusal(error)

    async def on_reconnect() -> None:
        nonlocal errors
        errors = 0
        trouble.clear()

    options = await _options(server, trouble)
    shuffle(options["servers"])  # not by the client, which would then try the lost server again before the others
    await client.connect(
        **options,
        dont_randomize=True,
        max_reconnect_attempts=-1,
        connect_timeout=CONNECT_TIMEOUT_S,
        reconnect_time_wait=RECONNECT_WAIT_S,
        ping_interval=PING_INTERVAL_S,
        max_outstanding_pings=PINGS_UNANSWERED_MAX,
        error_cb=note,
        reconnected_cb=on_reconnect,
        inbox_prefix=inbox,
    )
    errors = 0
    trouble.clear()


async def _options(server: NatsServer, trouble: Trouble) -> dict[str, Any]:
    """The server as nats-py takes it. Waits while a file of the settings cannot be read."""
    while True:
        try:
            return server.options()
        except BadNatsSetting as wrong:
            trouble.report(str(wrong))
            await asyncio.sleep(FILE_RETRY_S)


async def leave(client: Client) -> None:
    """Closes a connection, and ignores every error."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(LEAVE_TIMEOUT_S):
            await client.close()
    if isinstance(client, NatsClient):
        client.abandon()


async def ensure_stream(context: JetStreamContext) -> int:
    """The last sequence of the stream, which is made if there is none. Raises what `open_stream` raises."""
    return (await open_stream(context)).info.state.last_seq


async def open_stream(context: JetStreamContext, replicas: int | None = None) -> Kept:
    """The stream, as `keep_stream` makes and keeps it. Raises StreamTaken and NATS's errors."""
    try:
        return await keep_stream(context, CONFIG, replicas)
    except BadRequestError as error:
        if error.err_code != SUBJECTS_OVERLAP:
            raise
        other = await context.find_stream_name_by_subject(SUBJECTS[0])
        raise StreamTaken(
            f"the stream {STREAM} is not there, and cannot be made: the stream {other} has its subjects "
            f"{SUBJECTS[0]}; when that is removed, or has others, {STREAM} is made and filled from the store"
        ) from None


def wrong_with(config: StreamConfig) -> str | None:
    """Why a stream with this configuration cannot hold all events; None if it can. Names each wrong setting and its
    right value."""
    limits = {name: getattr(config, name) or 0 for name in NO_LIMITS}
    wrong = [f"its {name} is {limit:g} and should be no limit" for name, limit in limits.items() if limit > 0]
    if config.subjects != SUBJECTS:
        wrong.append(f"its subjects are {', '.join(config.subjects or ['none'])} and should be {SUBJECTS[0]}")
    if config.retention != RetentionPolicy.LIMITS:
        wrong.append(f"its retention is {config.retention} and should be limits")
    if config.storage != StorageType.FILE:
        wrong.append(f"its storage is {config.storage} and should be file")
    wrong += [f"it is {meaning} and should not be" for name, meaning in FORBIDDEN.items() if getattr(config, name)]
    if not config.allow_atomic:
        wrong.append("it takes no atomic batches (allow_atomic) and should")
    if not is_kept(config):
        wrong.append("its messages can be deleted: its deny_delete and deny_purge should be true")
    return f"the stream {STREAM} is not as it must be: {'; '.join(wrong)}" if wrong else None


def cloud_event(event: Stored) -> tuple[str, dict[str, str]]:
    """An event's subject and its CloudEvents headers (NATS binding, binary mode). The body of the message is the stored
    event."""
    subject = subject_of(event.stream, event.type)
    headers = {
        "ce-specversion": "1.0",
        "ce-id": str(event.position),
        "ce-source": "/hourbook",
        "ce-type": event.type,
        "ce-subject": quote(event.stream, safe=""),
        "ce-sequence": f"{event.position:0{SEQUENCE_DIGITS}}",
        "ce-streamversion": str(event.version),
        "ce-ordinal": str(event.ordinal),
        "ce-requesthash": event.request_hash.hex(),
        "content-type": "application/json",
    }
    if event.request_id is not None:
        headers["ce-requestid"] = str(event.request_id)
    return subject, headers


class NotAnEvent(Exception):
    """A message of the stream is not as the relay publishes events."""


def stored_of(message: RawStreamMsg, ordinal: int = 0) -> Stored:
    """The event that a message of the stream is, as it was stored. `ordinal` is for the messages of versions of
    Hourbook that did not say it. Raises NotAnEvent."""
    headers, data = message.headers or {}, message.data or b""
    try:
        position, version = int(headers["ce-id"]), int(headers["ce-streamversion"])
        stream, kind = unquote(headers["ce-subject"]), headers["ce-type"]
        command = UUID(decode_envelope(data).command)
        request = UUID(headers["ce-requestid"]) if "ce-requestid" in headers else None
        request_hash = bytes.fromhex(headers.get("ce-requesthash", ""))
        place = int(headers.get("ce-ordinal", ordinal))
    except (KeyError, ValueError, msgspec.DecodeError) as error:
        raise NotAnEvent(f"message {message.seq}: {type(error).__name__}: {error}") from None
    if position != message.seq or message.subject != subject_of(stream, kind):
        raise NotAnEvent(f"message {message.seq} says that it is the event {position}, of {message.subject}")
    return Stored(position, stream, version, command, request, request_hash, kind, data, place)


@lru_cache(maxsize=4096)
def subject_of(stream: str, event_type: str) -> str:
    """The subject of an event. A stored stream that is no slug is quoted, so that it cannot break the protocol."""
    return f"{SUBJECT}.{quote(stream, safe='').replace('.', '%2E')}.{event_type}"


async def publish_batch(
    client: Client,
    last_sequence: int,
    events: Sequence[Stored],
    timeout_s: float = PUBLISH_TIMEOUT_S,
    also: Mapping[int, Mapping[str, str]] | None = None,
) -> int:
    """Publishes `events` if the stream ends at `last_sequence`. Returns its new last sequence. `also` has more headers,
    by position.

    A few events go as single messages. Each names the sequence before it, so none is stored after a lost one. More
    events, and the events of one command, go as an atomic batch: all are stored or none. In both cases the answer to
    the last message means that all are stored. Raises PublishRefused if the stream ends elsewhere, TimeoutError if the
    outcome is unknown.
    """
    batch_id = uuid4().hex
    singly = len(events) == 1 or (len(events) <= SINGLY_MAX and not any(event.ordinal for event in events))
    frames = []
    for number, event in enumerate(events, 1):
        subject, headers = cloud_event(event)
        if also is not None:
            headers |= also.get(event.position, {})
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
        # The client's publish checks and copies every header: 18 of 25 us an event. These headers need no check, so the
        # messages go to the client's buffer in the form of the protocol. The function is private:
        # tests/integration/test_nats_client.py says for which versions it was read, and what to do if it changes.
        await client._send_command(b"".join(frames))
        reply = await client.request(subject, event.data, timeout=timeout_s, headers=headers)
        ack = _ack.decode(reply.data)
        if ack.error is not None:
            hint = f"; {MAKE_ROOM}" if ack.error.err_code in NO_ROOM else ""
            raise PublishRefused(f"{ack.error.err_code}: {ack.error.description}{hint}")
        if ack.stream != STREAM:
            raise PublishRefused(f"the stream {ack.stream} has taken it")
        return ack.seq
    return last_sequence


def whole_commands(events: Sequence[Stored]) -> Sequence[Stored]:
    """The events without those of the last command, of which more may follow. All of them, if they are of one command:
    a batch has room for no more."""
    last = next((number for number in range(len(events) - 1, 0, -1) if events[number].ordinal == 0), 0)
    return events[:last] if last else events


def hpub(subject: str, headers: dict[str, str], body: bytes) -> bytes:
    """A message with headers, in the form of NATS' protocol."""
    head = "".join(["NATS/1.0\r\n", *[f"{name}: {value}\r\n" for name, value in headers.items()], "\r\n"]).encode()
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (subject.encode(), len(head), len(head) + len(body), head, body)
