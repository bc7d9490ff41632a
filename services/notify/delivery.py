"""One delivery: a message signed as Standard Webhooks says, sent once, and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout
from standardwebhooks import Webhook

TIMEOUT_S = 10.0
ERROR_MAX = 300
GONE = 410


class Message(NamedTuple):
    """What is delivered. `id` is the same at every attempt; `number` is the event's position or the notice's seq."""

    source: str
    number: int
    id: str
    body: bytes


class Outcome(NamedTuple):
    """`error` is None for what was accepted; `gone` says that the receiver wants no more."""

    error: str | None
    gone: bool = False


def event_message(position: int, version: int, kind: str, at: str, data: bytes) -> Message:
    """An event as Standard Webhooks' payload: `{type, timestamp, data: {position, version, event}}`; `event` is what is
    stored, byte for byte."""
    body = b'{"type":"%b","timestamp":"%b","data":{"position":%d,"version":%d,"event":%b}}' % (
        kind.encode(),
        at.encode(),
        position,
        version,
        data,
    )
    return Message("event", position, f"evt_{position}", body)


def notice_message(seq: int, notice_id: str, kind: str, due: str, data: str) -> Message:
    """A notice likewise: `{type, timestamp, data: {…}}`."""
    body = f'{{"type":"{kind}","timestamp":"{due}","data":{data}}}'.encode()
    return Message("notice", seq, notice_id, body)


async def deliver(session: ClientSession, url: str, secret: str, message: Message, timeout_s: float) -> Outcome:
    """Sends it once. Redirects are not followed, for they lead where nobody has allowed."""
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message.id, now, message.body.decode()),
    }
    try:
        async with session.post(
            url, data=message.body, headers=headers, allow_redirects=False, timeout=ClientTimeout(total=timeout_s)
        ) as answer:
            if 200 <= answer.status < 300:
                return Outcome(None)
            return Outcome(f"it answered {answer.status}", gone=answer.status == GONE)
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        return Outcome(f"{type(error).__name__}: {error}"[:ERROR_MAX].rstrip(": "))
