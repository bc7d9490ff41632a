"""The webhooks, to be read: what each one gets, how far it is, and the messages that it gave up."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller
from litestar.params import PathParameter, QueryParameter

from services.query.documents import service
from services.query.questions.parameters import optional_project
from services.query.routes.answering import FRESH
from services.query.routes.forms import in_json
from services.query.routes.needs import on_found, on_some_project, require_found, seen
from services.query.routes.parameters import NumberedLimit, Project
from services.query.routes.parts import AnyRequest, parts_of
from services.query.routes.reads import read
from services.query.views.webhooks import read_dead_letters, read_webhook, read_webhooks, unknown_webhook
from shared.http.responses import EncodedResponse
from shared.identity.roles import Right

ON_WEBHOOK = on_found(Right.MANAGE, "the project of the webhook")

WebhookId = Annotated[UUID, PathParameter(description="The id of a webhook.")]
AfterMessage = Annotated[
    str, QueryParameter(description="Only dead letters after this message id: the `next` of a page.")
]


class Webhooks(Controller):
    """Reads only. POST and DELETE go to the command service."""

    @read(
        "/webhooks", "All webhooks, or those of a project", in_json(service.WebhookList), on_some_project(Right.MANAGE)
    )
    async def webhooks(self, request: AnyRequest, project: Project = None) -> EncodedResponse[bytes]:
        """`{webhooks: [{id, url, project, types, notices, created_by, created_at, position, notice, attempts, failures,
        retry_at, delivered_at, last_error, disabled, maker, ended, dead_letters}]}`, ordered by id.

        `position` and `notice` are the last event and the last notice that were delivered or given up. `failures` is
        the number of failures since the last success. `dead_letters` is the number of messages that were given up.
        `maker` has registered or resumed it; null where nobody signed in. It is `ended` as `forbidden` when its maker
        has lost the right to it, and as `unproven` if it has no maker; null while it goes on. POST
        /webhooks/{webhook}/resume lets it go on. The secret is never shown again. Webhooks of projects that you may not
        manage are not listed."""
        wanted = optional_project(project)
        webhooks = await read_webhooks(parts_of(request).database, wanted, seen(request))
        return EncodedResponse(msgspec.json.encode({"webhooks": webhooks}), headers=FRESH)

    @read("/webhooks/{webhook:uuid}", "One webhook", in_json(service.WebhookOfList), ON_WEBHOOK)
    async def webhook(self, request: AnyRequest, webhook: WebhookId) -> EncodedResponse[bytes]:
        """`{id, url, project, types, notices, created_by, created_at, position, notice, attempts, failures, retry_at,
        delivered_at, last_error, disabled, maker, ended, dead_letters}`, as /webhooks lists it."""
        return EncodedResponse(msgspec.json.encode(await found_webhook(request, webhook)), headers=FRESH)

    @read(
        "/webhooks/{webhook:uuid}/dead-letters",
        "Dead letters of a webhook",
        in_json(service.DeadLetterPage),
        ON_WEBHOOK,
    )
    async def dead_letters(
        self, request: AnyRequest, webhook: WebhookId, after: AfterMessage = "", limit: NumberedLimit = 100
    ) -> EncodedResponse[bytes]:
        """`{dead_letters: [{message, source, number, attempts, error, failed_at, redeliver}], next}`, ordered by
        message id: the messages that were given up after the last attempt.

        `source` is `event` or `notice`, `number` its position or `seq`. `next` is the `after` of the next page, null on
        the last page. POST /webhooks/{webhook}/dead-letters/{message}/redeliver delivers a message again."""
        await found_webhook(request, webhook)
        database = parts_of(request).database
        page, following = await read_dead_letters(database, webhook, after, limit)
        return EncodedResponse(msgspec.json.encode({"dead_letters": page, "next": following}), headers=FRESH)


async def found_webhook(request: AnyRequest, webhook: UUID) -> dict[str, Any]:
    """The webhook with this id. Raises UnknownId, also for one that the principal may not manage."""
    found = await read_webhook(parts_of(request).database, webhook)
    await require_found(request, found["project"], unknown_webhook(webhook))
    return found
