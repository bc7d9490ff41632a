"""Delivers events and notices to webhooks.

Each webhook has a task of its own, so a slow receiver delays no other one. Its messages go in order: each is tried
until the receiver accepts it or it becomes a dead letter. The database keeps how far each webhook is. A restart goes on
from there and repeats one message at most.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import ClientSession

from services.notify.delivery import Message, Outcome, deliver, event_message, notice_message
from services.notify.makers import end_those_without_right
from shared.clock import ClockWatch
from shared.errors import HourbookError
from shared.events import decode_envelope
from shared.identity.roles import Policy
from shared.postgres import Pool, Record, rows_changed
from shared.tasks import end_tasks
from shared.webhook_hosts import check_url

log = logging.getLogger(__name__)

MAKERS_S = 1.0
WINDOW = 1000  # positions, or notices, that are read at a time


class Retries(msgspec.Struct, frozen=True):
    """The delay is `first_s` before the second attempt and doubles up to `most_s`. After `attempts_max` attempts a
    message becomes a dead letter. An attempt takes `timeout_s` at most."""

    first_s: float = 5.0
    most_s: float = 3600.0
    attempts_max: int = 12
    timeout_s: float = 10.0

    @property
    def longest_s(self) -> float:
        """The longest delay that `delay_s` gives."""
        return self.most_s * 1.25

    def delay_s(self, failures: int, chance: float) -> float:
        """Seconds before the next attempt, after this many failures in a row. `chance` (0 to 1) adds -25 % to +25 %."""
        return float(min(self.most_s, self.first_s * 2 ** min(failures - 1, 30)) * (0.75 + chance / 2))


# One row at least: how far the read models and the notices are, and the webhooks that are called, each in a row.
ENABLED = """
SELECT w.id, g.position, n.seq,
    EXISTS (SELECT FROM webhook_dead_letter d WHERE d.webhook = w.id AND d.redeliver) AS redeliver
FROM notice_head n LEFT JOIN generation g ON g.live
LEFT JOIN webhook w ON w.disabled IS NULL AND w.ended IS NULL AND (w.maker IS NULL OR $1)
"""


class Webhooks:
    """The tasks of all webhooks. A delivery goes only to the hosts in `allowed`, even if another one was registered.

    `policy` has the roles on the whole ledger. Without it nobody signs in; then a webhook that was registered by
    somebody who signed in waits, because nobody can say what its maker may see."""

    def __init__(
        self,
        pool: Pool,
        allowed: Sequence[str],
        retries: Retries,
        *,
        policy: Policy | None = None,
        poll_s: float = 0.2,
        chance: Callable[[], float] = random.random,
        on_delivery: Callable[[str], None] = lambda _: None,
        clock: ClockWatch | None = None,
    ) -> None:
        self._clock = clock
        self._pool, self._allowed, self._retries, self._poll_s, self._chance = pool, allowed, retries, poll_s, chance
        self._policy, self._on_delivery = policy, on_delivery
        self._makers_at = float("-inf")
        self._workers: dict[UUID, asyncio.Task[None]] = {}
        self._heads: tuple[int | None, int] = (0, 0)
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Runs until it is cancelled. Raises asyncpg's errors."""
        async with ClientSession(headers={"User-Agent": "Hourbook"}, trust_env=False) as session:
            try:
                while True:
                    await self._check_makers()
                    await self._check(session)
                    await asyncio.sleep(self._poll_s)
            finally:
                await end_tasks(*self._workers.values())

    async def _check_makers(self) -> None:
        """Ends the webhooks whose makers have lost the right, every MAKERS_S. While the clock is doubtful, it ends
        none: a token may seem to have expired."""
        if self._clock is not None and self._clock.doubtful is not None:
            return
        now = asyncio.get_running_loop().time()
        if self._policy is not None and now - self._makers_at >= MAKERS_S:
            self._makers_at = now
            await end_those_without_right(self._pool, self._policy)

    async def _check(self, session: ClientSession) -> None:
        """Starts workers of new webhooks, ends those of deleted and ended ones, and wakes all if there is something to
        deliver."""
        records = await self._pool.fetch(ENABLED, self._policy is not None)
        ids = {record["id"] for record in records} - {None}
        for webhook_id in self._workers.keys() - ids:
            self._workers.pop(webhook_id).cancel()
        for webhook_id in ids - self._workers.keys():
            worker = Worker(
                webhook_id, self._pool, session, self._allowed, self._retries, self._chance, self._on_delivery
            )
            self._workers[webhook_id] = asyncio.create_task(worker.run(self.news))
        for worker_task in list(self._workers.values()):
            if worker_task.done():
                worker_task.result()
        heads = records[0]["position"], records[0]["seq"]
        if heads != self._heads or any(record["redeliver"] for record in records):
            self._heads = heads
            news, self._news = self._news, asyncio.Event()
            news.set()

    def news(self) -> asyncio.Event:
        """An event that is set when there is something new to deliver."""
        return self._news


WEBHOOK = """
SELECT url, project, types, kinds, secret, position, notice, attempts, failures, retry_at, disabled
FROM webhook WHERE id = $1
"""
EVENTS = """
SELECT least($1 + $2, g.position) AS read_to, e.position, e.version, e.type, e.data
FROM generation g LEFT JOIN LATERAL (
    SELECT position, version, type, data FROM event
    WHERE position > $1 AND position <= least($1 + $2, g.position)
        AND ($3::text IS NULL OR stream = $3) AND ($4::text[] IS NULL OR type = ANY ($4))
    ORDER BY position
) e ON true
WHERE g.live ORDER BY e.position
"""
NOTICES = """
SELECT least($1 + $2, h.seq) AS read_to, n.seq, n.id, n.kind, n.due, n.data::text
FROM notice_head h LEFT JOIN notice n ON n.seq > $1 AND n.seq <= least($1 + $2, h.seq)
    AND ($3::text IS NULL OR n.project = $3) AND n.kind = ANY ($4)
ORDER BY n.seq
"""
# A place never moves back. A notifier that stood still while another one led finds that it does not move it.
DELIVERED = {
    "event": """UPDATE webhook SET position = $2, attempts = 0, failures = 0, retry_at = NULL, last_error = NULL,
                    delivered_at = now() WHERE id = $1 AND position < $2""",
    "notice": """UPDATE webhook SET notice = $2, attempts = 0, failures = 0, retry_at = NULL, last_error = NULL,
                    delivered_at = now() WHERE id = $1 AND notice < $2""",
}
READ_TO = "UPDATE webhook SET position = greatest(position, $2), notice = greatest(notice, $3) WHERE id = $1"
FAILED = """
UPDATE webhook SET attempts = attempts + 1, failures = failures + 1, retry_at = $2, last_error = $3 WHERE id = $1
"""
GIVE_UP = {
    "event": """UPDATE webhook SET position = greatest(position, $4), attempts = 0, failures = failures + 1,
                    retry_at = $2, last_error = $3 WHERE id = $1""",
    "notice": """UPDATE webhook SET notice = greatest(notice, $4), attempts = 0, failures = failures + 1,
                    retry_at = $2, last_error = $3 WHERE id = $1""",
}
ADD_DEAD_LETTER = """
INSERT INTO webhook_dead_letter (webhook, message, source, number, attempts, error, failed_at)
VALUES ($1, $2, $3, $4, $5, $6, now()) ON CONFLICT (webhook, message) DO UPDATE
SET attempts = webhook_dead_letter.attempts + excluded.attempts, error = excluded.error, failed_at = now()
"""
DISABLE = "UPDATE webhook SET disabled = $2, last_error = $2 WHERE id = $1"
TO_REDELIVER = """
SELECT message, source, number FROM webhook_dead_letter WHERE webhook = $1 AND redeliver ORDER BY number LIMIT 1
"""
EVENT = "SELECT position, version, type, data FROM event WHERE position = $1"
NOTICE = "SELECT seq, id, kind, due, data::text FROM notice WHERE seq = $1"
DELETE_DEAD_LETTER = "DELETE FROM webhook_dead_letter WHERE webhook = $1 AND message = $2"
REDELIVERY_FAILED = """
UPDATE webhook_dead_letter SET redeliver = false, attempts = attempts + 1, error = $3, failed_at = now()
WHERE webhook = $1 AND message = $2
"""


class Worker:
    """Delivers the messages of one webhook, one after the other."""

    def __init__(
        self,
        webhook_id: UUID,
        pool: Pool,
        session: ClientSession,
        allowed: Sequence[str],
        retries: Retries,
        chance: Callable[[], float],
        on_delivery: Callable[[str], None],
    ) -> None:
        self._id, self._pool, self._session = webhook_id, pool, session
        self._allowed, self._retries, self._chance, self._on_delivery = allowed, retries, chance, on_delivery
        self._refused: str | None = None  # the source of the message that was refused last, until one is accepted

    async def run(self, next_news: Callable[[], asyncio.Event]) -> None:
        """Runs until it is cancelled or the webhook is deleted or disabled. Raises asyncpg's errors."""
        while True:
            news = next_news()
            webhook = await self._pool.fetchrow(WEBHOOK, self._id)
            if webhook is None or webhook["disabled"] is not None:
                return
            if await self._redeliver(webhook):
                continue
            wait_s = 0.0 if webhook["retry_at"] is None else (webhook["retry_at"] - datetime.now(UTC)).total_seconds()
            if 0 < wait_s <= self._retries.longest_s:  # a longer one is of a clock that was ahead
                await asyncio.sleep(min(wait_s, 1.0))
            elif not await self._deliver_some(webhook):
                await news.wait()

    async def _deliver_some(self, webhook: Record) -> bool:
        """Delivers the next events and notices that the webhook asks for, until one fails. Returns whether there were
        new events or notices."""
        positions = {"event": webhook["position"], "notice": webhook["notice"]}
        before, attempts = dict(positions), webhook["attempts"]
        async for message in self._messages(webhook, positions):
            outcome = await self._attempt(webhook, message)
            self._refused = None if outcome.error is None else message.source
            if outcome.error is not None:
                await self._failed(message, outcome, webhook["failures"] + 1, attempts + 1)
                return True
            moved = await self._pool.execute(DELIVERED[message.source], self._id, message.number)
            if not rows_changed(moved):  # another notifier was here, or the webhook is deleted
                return True
            attempts = 0
        if positions != before:
            await self._pool.execute(READ_TO, self._id, positions["event"], positions["notice"])
        return positions != before

    async def _messages(self, webhook: Record, positions: dict[str, int]) -> AsyncIterator[Message]:
        """Yields the next events that the webhook asks for, then the next notices. Moves `positions` past those that
        were read. After a refused notice the notices come first, for a webhook counts the attempts of one message."""
        sources = [self._events(webhook, positions), self._notices(webhook, positions)]
        for source in reversed(sources) if self._refused == "notice" else sources:
            async for message in source:
                yield message

    async def _events(self, webhook: Record, positions: dict[str, int]) -> AsyncIterator[Message]:
        if webhook["types"] is None or webhook["types"]:
            rows = await self._pool.fetch(EVENTS, positions["event"], WINDOW, webhook["project"], webhook["types"])
            for row in rows:
                if row["position"] is not None:
                    yield event_of(row)
            positions["event"] = max(positions["event"], rows[0]["read_to"]) if rows else positions["event"]

    async def _notices(self, webhook: Record, positions: dict[str, int]) -> AsyncIterator[Message]:
        if webhook["kinds"]:
            rows = await self._pool.fetch(NOTICES, positions["notice"], WINDOW, webhook["project"], webhook["kinds"])
            for row in rows:
                if row["seq"] is not None:
                    yield notice_of(row)
            positions["notice"] = rows[0]["read_to"] if rows else positions["notice"]

    async def _attempt(self, webhook: Record, message: Message) -> Outcome:
        url, secret = webhook["url"], webhook["secret"]
        try:
            check_url(url, self._allowed)
            outcome = await deliver(self._session, url, secret, message, self._retries.timeout_s)
        except HourbookError as refused:
            outcome = Outcome(refused.detail, word="not_allowed")
        self._on_delivery(outcome.word)
        return outcome

    async def _failed(self, message: Message, outcome: Outcome, failures: int, attempts: int) -> None:
        """Sets the next attempt, or makes the message a dead letter. Disables the webhook if the receiver is `gone`."""
        error = outcome.error or ""
        log.info("webhook %s: %s, attempt %d: %s", self._id, message.id, attempts, error)
        if outcome.gone:
            await self._pool.execute(DISABLE, self._id, f"{error}: it wants no more")
            return
        retry_at = datetime.now(UTC) + timedelta(seconds=self._retries.delay_s(failures, self._chance()))
        if attempts < self._retries.attempts_max:
            await self._pool.execute(FAILED, self._id, retry_at, error)
            return
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                ADD_DEAD_LETTER, self._id, message.id, message.source, message.number, attempts, error
            )
            await connection.execute(GIVE_UP[message.source], self._id, retry_at, error, message.number)

    async def _redeliver(self, webhook: Record) -> bool:
        """Tries once the first dead letter that somebody asked to deliver again. Returns False if there is none."""
        letter = await self._pool.fetchrow(TO_REDELIVER, self._id)
        if letter is None:
            return False
        row: Any = await self._pool.fetchrow(EVENT if letter["source"] == "event" else NOTICE, letter["number"])
        outcome = await self._attempt(webhook, event_of(row) if letter["source"] == "event" else notice_of(row))
        if outcome.error is None:
            await self._pool.execute(DELETE_DEAD_LETTER, self._id, letter["message"])
        else:
            await self._pool.execute(REDELIVERY_FAILED, self._id, letter["message"], outcome.error)
        return True


def event_of(row: Record) -> Message:
    try:
        at = decode_envelope(row["data"]).at
    except msgspec.MsgspecError:
        at = ""
    return event_message(row["position"], row["version"], row["type"], at, row["data"])


def notice_of(row: Record) -> Message:
    due = row["due"].isoformat().replace("+00:00", "Z")
    return notice_message(row["seq"], row["id"], row["kind"], due, row["data"])
