"""One delivery attempt: signs a message as Standard Webhooks says, sends it once, and returns the outcome."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout
from standardwebhooks import Webhook

from shared import tracing

TIMEOUT_S = 10.0
ERROR_MAX = 300
GONE = 410
OUTCOMES = ("accepted", "refused", "unreachable", "not_allowed")  # of an attempt, for metrics


class Message(NamedTuple):
    """An event or a notice (`source`). `id` is the same at every attempt; `number` is the position or the notice's
    seq."""

    source: str
    number: int
    id: str
    body: bytes


class Outcome(NamedTuple):
    """`error` is None if the receiver accepted the message. `gone`: it answered 410, so call it no more. `word` is one
    of OUTCOMES."""

    error: str | None
    gone: bool = False
    word: str = "accepted"


def event_message(position: int, version: int, kind: str, at: str, data: bytes) -> Message:
    """The message of an event: `{type, timestamp, data: {position, version, event}}`. `event` has the stored bytes."""
    body = b'{"type":"%b","timestamp":"%b","data":{"position":%d,"version":%d,"event":%b}}' % (
        kind.encode(),
        at.encode(),
        position,
        version,
        data,
    )
    return Message("event", position, f"evt_{position}", body)


def notice_message(seq: int, notice_id: str, kind: str, due: str, data: str) -> Message:
    """The message of a notice: `{type, timestamp, data: {…}}`."""
    body = f'{{"type":"{kind}","timestamp":"{due}","data":{data}}}'.encode()
    return Message("notice", seq, notice_id, body)


async def deliver(session: ClientSession, url: str, secret: str, message: Message, timeout_s: float) -> Outcome:
    """Sends a message once. Redirects are not followed: they may lead to a host that is not allowed."""
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message.id, now, message.body.decode()),
    }
    number = "hourbook.position" if message.source == "event" else "hourbook.notice"
    attributes = {"http.request.method": "POST", number: message.number}
    with tracing.span("POST", attributes, "client"):
        try:
            async with session.post(
                url,
                data=message.body,
                headers=headers | tracing.headers(),
                allow_redirects=False,
                timeout=ClientTimeout(total=timeout_s),
            ) as answer:
                return outcome_of(answer.status)
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            tracing.failed(type(error).__name__)
            return Outcome(f"{type(error).__name__}: {error}"[:ERROR_MAX].rstrip(": "), word="unreachable")


def outcome_of(status: int) -> Outcome:
    """What an answer with this status means."""
    tracing.note("http.response.status_code", status)
    if 200 <= status < 300:
        return Outcome(None)
    tracing.failed(str(status))
    return Outcome(f"it answered {status}", status == GONE, "refused")
