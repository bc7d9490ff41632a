"""Who is to be told by webhook. Registering one is no command of the ledger: it makes no event."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Controller, delete, post
from litestar.params import FromPath, JSONBody

from services.command.keys import Keys
from services.command.routes.requests import Slug
from services.command.routes.submit import AnyRequest, KeyedOperation, actor_of, key_of, new_id
from shared.errors import HourbookError, InvalidField, UnknownId
from shared.event_store import POSITION_MAX
from shared.events import EVENT_TYPES
from shared.http.openapi import refusal, response
from shared.http.responses import Encoded
from shared.notices import KINDS
from shared.webhook_hosts import HostNotAllowed, check_url

WEBHOOKS_MAX = 1000
NAMES = frozenset(kind.__name__ for kind in EVENT_TYPES)


class TooManyWebhooks(HourbookError):
    """There are as many webhooks as there may be. Delete those that nobody reads."""

    code = "too_many_webhooks"
    status = 409
    title = "Too many webhooks"


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`types`: event types, and kinds of notices; left out, all events. `notices`: all kinds of them. `after`: begin
    with the event after this position; left out, with what is new."""

    url: str
    project: Slug | None = None
    types: list[str] | None = None
    notices: bool = False
    after: Annotated[int, msgspec.Meta(ge=0, le=POSITION_MAX)] | None = None


class Webhook(msgspec.Struct, frozen=True):
    """What a registration answers; `secret` is shown here and never again."""

    id: UUID
    url: str
    project: str | None
    types: list[str] | None
    notices: list[str]
    secret: str


AGAIN = response(Webhook, "What was registered with the same Idempotency-Key before.")
webhook_post = partial(post, operation_class=KeyedOperation)
webhook_delete = partial(delete, operation_class=KeyedOperation)


class Webhooks(Controller):
    """Registering, deleting, and delivering again what was given up. GET /webhooks lists them."""

    keys: ClassVar[Keys]
    hosts: ClassVar[Sequence[str]]

    @webhook_post("/webhooks", responses={200: AGAIN, 403: refusal(403)})
    async def register(self, request: AnyRequest, data: JSONBody[WebhookRequest]) -> Encoded[Webhook]:
        """201 with the webhook and its secret (`whsec_…`, for the signature as Standard Webhooks has it)."""
        actor, (types, kinds) = actor_of(request), split(data.types, data.notices)
        key = key_of(request, actor, data)
        try:
            url = check_url(data.url, self.hosts)
        except HostNotAllowed as refused:
            return await self.keys.refuse(key, refused)

        async def work(connection: Any) -> Encoded[Webhook]:
            webhook = Webhook(
                new_id(), url, data.project, types, kinds, "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
            )
            await register(connection, webhook, actor, data.after)
            return Encoded(msgspec.json.encode(webhook), status_code=201)

        return await self.keys.once(key, work)

    @webhook_delete("/webhooks/{webhook:uuid}", status_code=200)
    async def delete_one(self, request: AnyRequest, webhook: FromPath[UUID]) -> Encoded[dict[str, UUID]]:
        """Ends it; nothing more is delivered, but for what is under way. Its dead letters go with it."""

        async def work(connection: Any) -> Encoded[dict[str, UUID]]:
            await changed(connection, webhook, DELETE, webhook)
            return Encoded(msgspec.json.encode({"id": webhook}))

        return await self.keys.once(key_of(request, actor_of(request), None), work)

    @webhook_post("/webhooks/{webhook:uuid}/dead-letters/redeliver", status_code=202)
    async def redeliver_all(self, request: AnyRequest, webhook: FromPath[UUID]) -> Encoded[dict[str, int]]:
        """202 with `redelivered`: how many are tried again, once each. GET …/dead-letters lists what is left."""

        async def work(connection: Any) -> Encoded[dict[str, int]]:
            count = await changed(connection, webhook, REDELIVER, webhook, None)
            return Encoded(msgspec.json.encode({"redelivered": count}), status_code=202)

        return await self.keys.once(key_of(request, actor_of(request), None), work)

    @webhook_post("/webhooks/{webhook:uuid}/dead-letters/{message:str}/redeliver", status_code=202)
    async def redeliver(
        self, request: AnyRequest, webhook: FromPath[UUID], message: FromPath[str]
    ) -> Encoded[dict[str, int]]:
        """As above, of one message."""

        async def work(connection: Any) -> Encoded[dict[str, int]]:
            if not await changed(connection, webhook, REDELIVER, webhook, message):
                raise UnknownId("message", "dead letter", message)
            return Encoded(msgspec.json.encode({"redelivered": 1}), status_code=202)

        return await self.keys.once(key_of(request, actor_of(request), None), work)


async def changed(connection: Any, webhook: UUID, statement: str, *arguments: Any) -> int:
    """How many rows a statement changed. Raises UnknownId for a webhook that is not there."""
    if not await connection.fetchval(EXISTS, webhook):
        raise UnknownId("id", "webhook", str(webhook))
    return int((await connection.execute(statement, *arguments)).rpartition(" ")[2])


EXISTS = "SELECT EXISTS (SELECT FROM webhook WHERE id = $1)"
DELETE = "DELETE FROM webhook WHERE id = $1"
REDELIVER = """
UPDATE webhook_dead_letter SET redeliver = true WHERE webhook = $1 AND ($2::text IS NULL OR message = $2)
"""
REGISTER = """
INSERT INTO webhook (id, url, project, types, kinds, secret, created_by, position, notice)
SELECT $1, $2, $3, $4, $5, $6, $7, coalesce($8, g.position), n.seq
FROM generation g, notice_head n, event_head h
WHERE g.live AND (SELECT count(*) FROM webhook) < $9 AND coalesce($8, 0) <= h.position
    AND ($3::text IS NULL OR EXISTS (SELECT FROM stream_head WHERE stream = $3))
"""
HEAD = "SELECT position FROM event_head"
KNOWN = "SELECT EXISTS (SELECT FROM stream_head WHERE stream = $1)"


async def register(connection: Any, webhook: Webhook, actor: str, after: int | None) -> None:
    """Raises TooManyWebhooks, UnknownId for a project that is not there, InvalidField when no event is at `after`."""
    status = await connection.execute(
        REGISTER,
        webhook.id,
        webhook.url,
        webhook.project,
        webhook.types,
        webhook.notices,
        webhook.secret,
        actor,
        after,
        WEBHOOKS_MAX,
    )
    if status == "INSERT 0 1":
        return
    if webhook.project is not None and not await connection.fetchval(KNOWN, webhook.project):
        raise UnknownId("project", "project", webhook.project)
    if after is not None and after > (head := await connection.fetchval(HEAD)):
        raise InvalidField("after", f"{after} is beyond the last event, {head}")
    raise TooManyWebhooks(f"there are {WEBHOOKS_MAX} webhooks already")


def split(named: list[str] | None, notices: bool) -> tuple[list[str] | None, list[str]]:
    """The event types, None for all, and the kinds of notices. Raises InvalidField for what is neither."""
    if unknown := sorted(set(named or ()) - NAMES - KINDS.keys()):
        raise InvalidField("types", f"{unknown[0]!r} is none of {', '.join([*sorted(NAMES), *KINDS])}")
    if named is not None and not named and not notices:
        raise InvalidField("types", "name one at least")
    kinds = list(KINDS) if notices else [kind for kind in KINDS if kind in (named or ())]
    return None if named is None else sorted(set(named) & NAMES), kinds
