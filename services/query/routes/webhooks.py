"""The webhooks, to be read: who is told what, how far, and what was given up."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter

from services.query.database import Database
from services.query.questions.parameters import checked_project
from services.query.routes.calendars import AnyRequest, refuse_unknown
from services.query.views.history import check_project
from shared.errors import UnknownId
from shared.http.responses import Encoded

FRESH = {"Cache-Control": "private, no-cache"}


class Webhooks(Controller):
    """Reading only: POST and DELETE go to the command service."""

    database: ClassVar[Database]

    @get("/webhooks")
    async def webhooks(self, request: AnyRequest, project: FromQuery[str | None] = None) -> Encoded[bytes]:
        """`{webhooks: [{id, url, project, types, notices, created_by, created_at, position, notice, attempts, failures,
        retry_at, delivered_at, last_error, disabled, dead_letters}]}`: `position` and `notice` are the last that was
        settled, `failures` those since the last success. A secret is not shown again."""
        refuse_unknown(request, frozenset({"project"}))
        wanted = None if project is None else checked_project(project)
        records = await self.database.fetch(WEBHOOKS, None, wanted)
        if not records:
            await check_project(self.database, wanted)
        return Encoded(msgspec.json.encode({"webhooks": [dict(record) for record in records]}), headers=FRESH)

    @get("/webhooks/{webhook:uuid}")
    async def webhook(self, webhook: FromPath[UUID]) -> Encoded[bytes]:
        """One of them."""
        return Encoded(msgspec.json.encode(await self._one(webhook)), headers=FRESH)

    @get("/webhooks/{webhook:uuid}/dead-letters")
    async def dead_letters(
        self,
        request: AnyRequest,
        webhook: FromPath[UUID],
        after: FromQuery[str] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 100,
    ) -> Encoded[bytes]:
        """`{dead_letters: [{message, source, number, attempts, error, failed_at, redeliver}], next}`: what was given
        up, in the order of message ids; `source` is event or notice, `number` its position or seq. POST
        …/dead-letters/{message}/redeliver tries it again."""
        refuse_unknown(request, frozenset({"after", "limit"}))
        await self._one(webhook)
        records = await self.database.fetch(DEAD_LETTERS, webhook, after.replace("\0", ""), limit + 1)
        page = [dict(record) for record in records[:limit]]
        following = page[-1]["message"] if len(records) > limit else None
        return Encoded(msgspec.json.encode({"dead_letters": page, "next": following}), headers=FRESH)

    async def _one(self, webhook: UUID) -> dict[str, Any]:
        record = await self.database.fetchrow(WEBHOOKS, webhook, None)
        if record is None:
            raise UnknownId("id", "webhook", str(webhook))
        return dict(record)


WEBHOOKS = """
SELECT id, url, project, types, kinds AS notices, created_by, created_at, position, notice, attempts, failures,
    retry_at, delivered_at, last_error, disabled,
    (SELECT count(*) FROM webhook_dead_letter d WHERE d.webhook = webhook.id) AS dead_letters
FROM webhook
WHERE ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR project = $2) ORDER BY id
"""
DEAD_LETTERS = """
SELECT message, source, number, attempts, error, failed_at, redeliver FROM webhook_dead_letter
WHERE webhook = $1 AND message > $2 ORDER BY message LIMIT $3
"""
