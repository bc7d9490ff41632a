"""The webhooks: one task each, so that a target that hangs delays no other; in order, each message until it is accepted
or given up. How far each is stands in the database, so a restart goes on there and repeats one message at the most.
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
from shared.errors import HourbookError
from shared.events import decode_envelope
from shared.postgres import Pool, Record
from shared.tasks import end_tasks
from shared.webhook_hosts import check_url

log = logging.getLogger(__name__)

WINDOW = 1000  # positions looked through at a time


class Retries(msgspec.Struct, frozen=True):
    """`first_s` before the second attempt, twice as long before each next one up to `most_s`; a message is given up
    after `attempts_max` of them."""

    first_s: float = 5.0
    most_s: float = 3600.0
    attempts_max: int = 12
    timeout_s: float = 10.0

    def delay_s(self, failures: int, chance: float) -> float:
        """Before the next attempt, after so many failures in a row; `chance` from 0 to 1 spreads it by a half."""
        return float(min(self.most_s, self.first_s * 2 ** min(failures - 1, 30)) * (0.75 + chance / 2))


IDS = """
SELECT id, EXISTS (SELECT FROM webhook_dead_letter d WHERE d.webhook = webhook.id AND d.redeliver) AS risen
FROM webhook WHERE disabled IS NULL
"""
HEADS = """
SELECT g.position, n.seq FROM generation g, notice_head n WHERE g.live
"""


class Webhooks:
    """`run` once. `allowed` are the hosts that deliveries may go to, whatever was registered."""

    def __init__(
        self,
        pool: Pool,
        allowed: Sequence[str],
        retries: Retries,
        *,
        poll_s: float = 0.2,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._pool, self._allowed, self._retries, self._poll_s, self._chance = pool, allowed, retries, poll_s, chance
        self._workers: dict[UUID, asyncio.Task[None]] = {}
        self._heads = (0, 0)
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Delivers until it is cancelled. Raises asyncpg's errors."""
        async with ClientSession(headers={"User-Agent": "Hourbook"}, trust_env=False) as session:
            try:
                while True:
                    await self._look(session)
                    await asyncio.sleep(self._poll_s)
            finally:
                await end_tasks(*self._workers.values())

    async def _look(self, session: ClientSession) -> None:
        """Starts the workers of new webhooks and ends those of deleted ones; wakes all when there is something new."""
        records = await self._pool.fetch(IDS)
        ids = {record["id"] for record in records}
        for webhook_id in self._workers.keys() - ids:
            self._workers.pop(webhook_id).cancel()
        for webhook_id in ids - self._workers.keys():
            worker = Worker(webhook_id, self._pool, session, self._allowed, self._retries, self._chance)
            self._workers[webhook_id] = asyncio.create_task(worker.run(self.moved))
        for worker_task in list(self._workers.values()):
            if worker_task.done():
                worker_task.result()
        head = await self._pool.fetchrow(HEADS)
        heads = (0, 0) if head is None else (head["position"], head["seq"])
        if heads != self._heads or any(record["risen"] for record in records):
            self._heads = heads
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    def moved(self) -> asyncio.Event:
        """Set when there is something new to deliver."""
        return self._moved


WEBHOOK = """
SELECT url, project, types, kinds, secret, position, notice, attempts, failures, retry_at, disabled
FROM webhook WHERE id = $1
"""
EVENTS = """
SELECT least($1 + $2, g.position) AS looked, e.position, e.version, e.type, e.data
FROM generation g LEFT JOIN LATERAL (
    SELECT position, version, type, data FROM event
    WHERE position > $1 AND position <= least($1 + $2, g.position)
        AND ($3::text IS NULL OR stream = $3) AND ($4::text[] IS NULL OR type = ANY ($4))
    ORDER BY position
) e ON true
WHERE g.live ORDER BY e.position
"""
NOTICES = """
SELECT least($1 + $2, h.seq) AS looked, n.seq, n.id, n.kind, n.due, n.data::text
FROM notice_head h LEFT JOIN notice n ON n.seq > $1 AND n.seq <= least($1 + $2, h.seq)
    AND ($3::text IS NULL OR n.project = $3) AND n.kind = ANY ($4)
ORDER BY n.seq
"""
DELIVERED = {
    "event": """UPDATE webhook SET position = $2, attempts = 0, failures = 0, retry_at = NULL, last_error = NULL,
                    delivered_at = now() WHERE id = $1""",
    "notice": """UPDATE webhook SET notice = $2, attempts = 0, failures = 0, retry_at = NULL, last_error = NULL,
                    delivered_at = now() WHERE id = $1""",
}
LOOKED = "UPDATE webhook SET position = $2, notice = $3 WHERE id = $1"
FAILED = """
UPDATE webhook SET attempts = attempts + 1, failures = failures + 1, retry_at = $2, last_error = $3 WHERE id = $1
"""
GIVEN_UP = {
    "event": """UPDATE webhook SET position = $4, attempts = 0, failures = failures + 1, retry_at = $2, last_error = $3
                WHERE id = $1""",
    "notice": """UPDATE webhook SET notice = $4, attempts = 0, failures = failures + 1, retry_at = $2, last_error = $3
                WHERE id = $1""",
}
BURY = """
INSERT INTO webhook_dead_letter (webhook, message, source, number, attempts, error, failed_at)
VALUES ($1, $2, $3, $4, $5, $6, now()) ON CONFLICT (webhook, message) DO UPDATE
SET attempts = webhook_dead_letter.attempts + excluded.attempts, error = excluded.error, failed_at = now()
"""
DISABLE = "UPDATE webhook SET disabled = $2, last_error = $2 WHERE id = $1"
RISEN = """
SELECT message, source, number FROM webhook_dead_letter WHERE webhook = $1 AND redeliver ORDER BY number LIMIT 1
"""
EVENT = "SELECT position, version, type, data FROM event WHERE position = $1"
NOTICE = "SELECT seq, id, kind, due, data::text FROM notice WHERE seq = $1"
REST = "DELETE FROM webhook_dead_letter WHERE webhook = $1 AND message = $2"
STILL_DEAD = """
UPDATE webhook_dead_letter SET redeliver = false, attempts = attempts + 1, error = $3, failed_at = now()
WHERE webhook = $1 AND message = $2
"""


class Worker:
    """One webhook's deliveries, one after the other."""

    def __init__(
        self,
        webhook_id: UUID,
        pool: Pool,
        session: ClientSession,
        allowed: Sequence[str],
        retries: Retries,
        chance: Callable[[], float],
    ) -> None:
        self._id, self._pool, self._session = webhook_id, pool, session
        self._allowed, self._retries, self._chance = allowed, retries, chance

    async def run(self, moved: Callable[[], asyncio.Event]) -> None:
        """Until it is cancelled, or the webhook is deleted or disabled. Raises asyncpg's errors."""
        while True:
            news = moved()
            webhook = await self._pool.fetchrow(WEBHOOK, self._id)
            if webhook is None or webhook["disabled"] is not None:
                return
            if await self._redeliver(webhook):
                continue
            wait_s = 0.0 if webhook["retry_at"] is None else (webhook["retry_at"] - datetime.now(UTC)).total_seconds()
            if wait_s > 0:
                await asyncio.sleep(min(wait_s, 1.0))
            elif not await self._deliver_some(webhook):
                await news.wait()

    async def _deliver_some(self, webhook: Record) -> bool:
        """Delivers what is wanted of the next events and notices, until one fails. False: there was nothing."""
        positions = {"event": webhook["position"], "notice": webhook["notice"]}
        before, attempts = dict(positions), webhook["attempts"]
        async for message in self._messages(webhook, positions):
            outcome = await self._attempt(webhook, message)
            if outcome.error is not None:
                await self._failed(message, outcome, webhook["failures"] + 1, attempts + 1)
                return True
            await self._pool.execute(DELIVERED[message.source], self._id, message.number)
            attempts = 0
        if positions != before:
            await self._pool.execute(LOOKED, self._id, positions["event"], positions["notice"])
        return positions != before

    async def _messages(self, webhook: Record, positions: dict[str, int]) -> AsyncIterator[Message]:
        """The wanted of the next events, then of the next notices; `positions` follows when they have been taken."""
        if webhook["types"] is None or webhook["types"]:
            rows = await self._pool.fetch(EVENTS, positions["event"], WINDOW, webhook["project"], webhook["types"])
            for row in rows:
                if row["position"] is not None:
                    yield event_of(row)
            positions["event"] = max(positions["event"], rows[0]["looked"]) if rows else positions["event"]
        if webhook["kinds"]:
            rows = await self._pool.fetch(NOTICES, positions["notice"], WINDOW, webhook["project"], webhook["kinds"])
            for row in rows:
                if row["seq"] is not None:
                    yield notice_of(row)
            positions["notice"] = rows[0]["looked"] if rows else positions["notice"]

    async def _attempt(self, webhook: Record, message: Message) -> Outcome:
        try:
            check_url(webhook["url"], self._allowed)
        except HourbookError as refused:
            return Outcome(refused.detail)
        return await deliver(self._session, webhook["url"], webhook["secret"], message, self._retries.timeout_s)

    async def _failed(self, message: Message, outcome: Outcome, failures: int, attempts: int) -> None:
        """Puts the message off, or gives it up; after a 410 the webhook itself."""
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
            await connection.execute(BURY, self._id, message.id, message.source, message.number, attempts, error)
            await connection.execute(GIVEN_UP[message.source], self._id, retry_at, error, message.number)

    async def _redeliver(self, webhook: Record) -> bool:
        """Tries a dead letter that is wanted again, once. False: there is none."""
        risen = await self._pool.fetchrow(RISEN, self._id)
        if risen is None:
            return False
        row: Any = await self._pool.fetchrow(EVENT if risen["source"] == "event" else NOTICE, risen["number"])
        outcome = await self._attempt(webhook, event_of(row) if risen["source"] == "event" else notice_of(row))
        if outcome.error is None:
            await self._pool.execute(REST, self._id, risen["message"])
        else:
            await self._pool.execute(STILL_DEAD, self._id, risen["message"], outcome.error)
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
