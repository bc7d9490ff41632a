"""Publishes the notices on their stream in order. The stream drops a notice that is published again within an hour."""

from __future__ import annotations

import asyncio

from nats.aio.client import Client

from shared.notices import Notice, cloud_event, ensure_stream
from shared.postgres import Pool

BATCH_MAX = 500
PUBLISH_TIMEOUT_S = 5.0

UNPUBLISHED = """
SELECT n.seq, n.id, n.kind, n.project, n.subject, n.due, n.data::text
FROM notice_head h JOIN notice n ON n.seq > h.published ORDER BY n.seq LIMIT $1
"""
PUBLISHED = "UPDATE notice_head SET published = $1 WHERE published < $1"


async def publish(pool: Pool, client: Client, replicas: int | None = None) -> int:
    """Publishes the next notices and returns their number. After an error the next call goes on where this one
    ended. A stream that has to be made again gets `replicas`."""
    notices = [Notice(*record) for record in await pool.fetch(UNPUBLISHED, BATCH_MAX)]
    if not notices:
        return 0
    context = client.jetstream()
    await ensure_stream(context, replicas)
    done = notices[0].seq - 1
    try:
        for notice in notices:
            subject, headers = cloud_event(notice)
            await context.publish(subject, notice.data.encode(), timeout=PUBLISH_TIMEOUT_S, headers=headers)
            done = notice.seq
    finally:
        await asyncio.shield(pool.execute(PUBLISHED, done))
    return len(notices)
