"""Webhooks: where events and notices are sent. Registering one is not a command of the ledger: it makes no event."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from litestar import Controller
from litestar.params import JSONBody
from msgspec import Meta

from services.command import webhook_table
from services.command.keys import without
from services.command.routes.fields import MessageInPath, Slug, WebhookInPath
from services.command.routes.headers import AnyRequest, key_of
from services.command.routes.operations import webhook_delete, webhook_post
from services.command.routes.submit import parts_of, principal_of
from shared.errors import InvalidField, UnknownId
from shared.event_store import POSITION_MAX
from shared.events import EVENT_TYPES
from shared.http.openapi import problem_spec, response_spec
from shared.http.responses import EncodedResponse
from shared.identity.errors import Forbidden
from shared.ids import new_id
from shared.notices import KINDS
from shared.postgres import Connection
from shared.webhook_hosts import HostNotAllowed, check_url

T = TypeVar("T")
NAMES = frozenset(kind.__name__ for kind in EVENT_TYPES)


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook to register."""

    url: Annotated[
        str, Meta(description="Where to POST: a URL of at most 2000 characters, on a host that the operator allows.")
    ]
    project: Annotated[Slug, Meta(description="Only what is about this project. Left out: all projects.")] | None = None
    types: (
        Annotated[
            list[str],
            Meta(
                description="The event types to send, such as BookingCreated, and the kinds of notices, such as"
                " booking.started. Left out: all event types."
            ),
        ]
        | None
    ) = None
    notices: Annotated[bool, Meta(description="Send all kinds of notices, too.")] = False
    after: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=POSITION_MAX,
                description="Begin after this position; 0: with the first event. Left out: with what is new.",
            ),
        ]
        | None
    ) = None


class Webhook(msgspec.Struct, frozen=True):
    """A registered webhook."""

    id: Annotated[UUID, Meta(description="The id of the webhook.")]
    url: Annotated[str, Meta(description="Where messages are sent.")]
    project: Annotated[str | None, Meta(description="The project that they are about; null: all.")]
    types: Annotated[list[str] | None, Meta(description="The event types that are sent; null: all.")]
    notices: Annotated[list[str], Meta(description="The kinds of notices that are sent.")]
    secret: Annotated[
        str | None,
        Meta(
            description="The key of the signature (`whsec_…`, Standard Webhooks). Only this answer shows it; null in a"
            " repeat."
        ),
    ]


class Deleted(msgspec.Struct, frozen=True):
    """The answer when a webhook was deleted."""

    id: Annotated[UUID, Meta(description="The id of the webhook that was deleted.")]


class Resumed(msgspec.Struct, frozen=True):
    """The answer when a webhook goes on."""

    id: Annotated[UUID, Meta(description="The id of the webhook that goes on.")]


class Redelivered(msgspec.Struct, frozen=True):
    """The answer when dead letters are delivered again."""

    redelivered: Annotated[int, Meta(description="How many dead letters are tried again, once each.")]


AGAIN = response_spec(Webhook, "A repeat: what was registered first with this Idempotency-Key, without the secret.")


class Webhooks(Controller):
    @webhook_post(
        "/webhooks",
        summary="Register a webhook",
        response_description="It is registered.",
        responses={200: AGAIN, 403: problem_spec(403, "command")},
    )
    async def register(self, request: AnyRequest, data: JSONBody[WebhookRequest]) -> EncodedResponse[Webhook]:
        """Registers a URL. Events are sent to it, and notices if you ask for them. Each message is signed as Standard
        Webhooks says, with the secret in this answer.

        Needs the role `manager` on the project, or on the whole ledger if it is for all projects. The webhook ends when
        you lose the role: see `POST /webhooks/{webhook}/resume`.

        Refused for a host that the operator does not allow, for a project that does not exist, for a position (`after`)
        that is not reached yet, and if there are 1000 webhooks.
        """
        parts, principal = parts_of(request), principal_of(request)
        types, kinds = split(data.types, data.notices)
        key = key_of(request, principal.id, data)
        if not principal.unbounded:
            await parts.handler.require(data.project, "manager", principal, purpose="RegisterWebhook")
        try:
            url = check_url(data.url, parts.webhook_hosts)
        except HostNotAllowed as refused:
            return await parts.keys.refuse(key, refused)

        async def work(connection: Connection) -> EncodedResponse[Webhook]:
            secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
            webhook = Webhook(new_id(), url, data.project, types, kinds, secret)
            await webhook_table.register(
                connection,
                webhook.id,
                url=url,
                project=data.project,
                types=types,
                kinds=kinds,
                secret=secret,
                principal=principal,
                after=data.after,
            )
            return EncodedResponse(msgspec.json.encode(webhook), status_code=201)

        return await parts.keys.once(key, work, without("secret"), unbounded=principal.unbounded)

    @webhook_delete("/webhooks/{webhook:uuid}", summary="Delete a webhook", response_description="It is deleted.")
    async def delete_one(self, request: AnyRequest, webhook: WebhookInPath) -> EncodedResponse[Deleted]:
        """Deletes a webhook and its dead letters. Nothing is sent any more, but a message that is being sent now may
        still arrive.

        Needs the role `manager` on its project, or on the whole ledger if it has no project."""

        async def work(connection: Connection) -> EncodedResponse[Deleted]:
            await webhook_table.delete(connection, webhook)
            return EncodedResponse(msgspec.json.encode(Deleted(webhook)))

        return await change_webhook(request, webhook, "DeleteWebhook", work)

    @webhook_post(
        "/webhooks/{webhook:uuid}/resume",
        status_code=200,
        summary="Resume a webhook",
        response_description="It goes on.",
    )
    async def resume(self, request: AnyRequest, webhook: WebhookInPath) -> EncodedResponse[Resumed]:
        """Lets a webhook go on that was `ended` because its maker has no right to it any more. It goes on after the
        last message that was delivered. You are its maker from now on: it ends when you lose the right.

        Needs the role `manager` on its project, or on the whole ledger if it has no project."""

        async def work(connection: Connection) -> EncodedResponse[Resumed]:
            await webhook_table.resume(connection, webhook, principal_of(request))
            return EncodedResponse(msgspec.json.encode(Resumed(webhook)))

        return await change_webhook(request, webhook, "ResumeWebhook", work)

    @webhook_post(
        "/webhooks/{webhook:uuid}/dead-letters/redeliver",
        status_code=202,
        summary="Deliver all dead letters again",
        response_description="They will be tried again.",
    )
    async def redeliver_all(self, request: AnyRequest, webhook: WebhookInPath) -> EncodedResponse[Redelivered]:
        """Tries every dead letter of a webhook again, once. A dead letter is a message that was given up after many
        attempts. Those that fail again stay in `GET /webhooks/{webhook}/dead-letters`.

        Needs the role `manager` on its project, or on the whole ledger if it has no project."""

        async def work(connection: Connection) -> EncodedResponse[Redelivered]:
            count = await webhook_table.redeliver(connection, webhook, None)
            return EncodedResponse(msgspec.json.encode(Redelivered(count)), status_code=202)

        return await change_webhook(request, webhook, "RedeliverDeadLetters", work)

    @webhook_post(
        "/webhooks/{webhook:uuid}/dead-letters/{message:str}/redeliver",
        status_code=202,
        summary="Deliver one dead letter again",
        response_description="It will be tried again.",
    )
    async def redeliver(
        self, request: AnyRequest, webhook: WebhookInPath, message: MessageInPath
    ) -> EncodedResponse[Redelivered]:
        """Tries one dead letter of a webhook again, once.

        Refused if the webhook has no dead letter with this id. Needs the role `manager` on its project, or on the whole
        ledger if it has no project.
        """

        async def work(connection: Connection) -> EncodedResponse[Redelivered]:
            if not await webhook_table.redeliver(connection, webhook, message):
                raise UnknownId("message", "dead letter", message)
            return EncodedResponse(msgspec.json.encode(Redelivered(1)), status_code=202)

        return await change_webhook(request, webhook, "RedeliverDeadLetter", work)


async def change_webhook(
    request: AnyRequest, webhook: UUID, purpose: str, work: Callable[[Connection], Awaitable[EncodedResponse[T]]]
) -> EncodedResponse[T]:
    """Does `work` on a webhook of which the principal is a manager. Raises UnknownId for every other webhook."""
    parts, principal = parts_of(request), principal_of(request)

    async def checked(connection: Connection) -> EncodedResponse[T]:
        if not principal.unbounded:
            project = await webhook_table.project_of(connection, webhook)
            try:
                await parts.handler.require(project, "manager", principal, "id", purpose)
            except (Forbidden, UnknownId):
                raise webhook_table.unknown(webhook) from None
        return await work(connection)

    key = key_of(request, principal.id, None)
    return await parts.keys.once(key, checked, unbounded=principal.unbounded)


def split(named: list[str] | None, notices: bool) -> tuple[list[str] | None, list[str]]:
    """The event types (None: all) and the kinds of notices among `named`. Raises InvalidField for what is neither."""
    if unknown := sorted(set(named or ()) - NAMES - KINDS.keys()):
        raise InvalidField("types", f"{unknown[0]!r} is none of {', '.join([*sorted(NAMES), *KINDS])}")
    if named is not None and not named and not notices:
        raise InvalidField("types", "name one at least")
    kinds = list(KINDS) if notices else [kind for kind in KINDS if kind in (named or ())]
    return None if named is None else sorted(set(named) & NAMES), kinds
