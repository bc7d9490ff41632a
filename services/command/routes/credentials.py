"""Credentials that Hourbook gives out: tokens of programs, and secret addresses of feeds. They make no events."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller
from litestar.params import JSONBody
from msgspec import Meta

from services.command.keys import Key, whole, without
from services.command.routes.fields import FeedInPath, TokenInPath
from services.command.routes.headers import AnyRequest, key_of
from services.command.routes.operations import credential_post
from services.command.routes.requests import FeedRequest, TokenRequest
from services.command.routes.submit import parts_of, principal_of
from shared.http.openapi import problem_spec, response_spec
from shared.http.responses import EncodedResponse
from shared.identity.authenticator import Authenticator
from shared.identity.errors import PersonNeeded, SignInNotSetUp
from shared.identity.feed_addresses import create_feed, parse_feed_path, revoke_feed
from shared.identity.people import note_groups
from shared.identity.principals import Principal
from shared.identity.roles import Limit, administers
from shared.identity.tokens import begin, checked_limits, create_token, expiry, mine_of, revoke_token
from shared.postgres import Connection

log = logging.getLogger(__name__)


class NewToken(msgspec.Struct, frozen=True):
    """A token that was made."""

    id: Annotated[UUID, Meta(description="The id of the token. Its actor in the history is `token:<id>`.")]
    expires: Annotated[datetime, Meta(description="When it expires.")]
    secret: Annotated[
        str | None,
        Meta(
            description="The token (`hbk_…`), for the header `Authorization: Bearer`. Only this answer shows it; null"
            " in a repeat."
        ),
    ]


class NewFeed(msgspec.Struct, frozen=True):
    """A secret address that was made."""

    id: Annotated[UUID, Meta(description="The id of the address.")]
    address: Annotated[
        str | None,
        Meta(description="The address for the calendar program. Only this answer shows it; null in a repeat."),
    ]


class Revoked(msgspec.Struct, frozen=True):
    """The answer when a credential was revoked."""

    id: Annotated[UUID, Meta(description="The id of what was revoked.")]


FORBIDDEN = {403: problem_spec(403, "command")}
AGAIN_TOKEN = {200: response_spec(NewToken, "A repeat: the first answer to this Idempotency-Key, without the secret.")}
AGAIN_FEED = {200: response_spec(NewFeed, "A repeat: the first answer to this Idempotency-Key, without the address.")}


class Tokens(Controller):
    @credential_post(
        "/tokens/create",
        summary="Make a token",
        response_description="It is made. The answer shows it, and nothing else ever does.",
        responses=AGAIN_TOKEN | FORBIDDEN,
    )
    async def create(self, request: AnyRequest, data: JSONBody[TokenRequest]) -> EncodedResponse[NewToken]:
        """Makes a token for a program. It may do what its `limits` say, and never more than you may at that moment.

        Only a person makes tokens. Refused if you have less than the limits say, or if you have 100 valid tokens. A
        repeat with the same Idempotency-Key does not show the token again: revoke it, and make another.
        """
        limits = checked_limits(Limit(limit.role, limit.pool) for limit in data.limits)
        expires = expiry(data.expires, data.days)
        principal = principal_of(request)
        key = key_of(request, principal.id, data)
        if (authenticator := parts_of(request).authenticator) is None:
            return await parts_of(request).keys.refuse(key, SignInNotSetUp())
        maker = person_in(principal)
        await _check_limits(request, principal, limits)

        async def work(connection: Connection) -> EncodedResponse[NewToken]:
            await _begin(connection, request, authenticator, principal)
            made = await create_token(connection, data.name, maker, limits, expires)
            log.info("%s made the token %s", maker, made.id)
            return created(NewToken(made.id, made.expires, made.secret))

        return await carry_out(request, authenticator, key, work, "secret")

    @credential_post(
        "/tokens/{token:uuid}/revoke",
        status_code=200,
        summary="Revoke a token",
        response_description="It is not valid any more.",
        responses=FORBIDDEN,
    )
    async def revoke(self, request: AnyRequest, token: TokenInPath) -> EncodedResponse[Revoked]:
        """Revokes a token. Within five seconds no service takes it any more.

        You may revoke your own tokens, and the admins of the whole ledger everybody's. A token may revoke itself.
        """
        principal = principal_of(request)
        key = key_of(request, principal.id, None)
        if (authenticator := parts_of(request).authenticator) is None:
            return await parts_of(request).keys.refuse(key, SignInNotSetUp())
        mine = mine_of(authenticator.policy, principal)

        async def work(connection: Connection) -> EncodedResponse[Revoked]:
            if await revoke_token(connection, token, mine):
                log.info("%s revoked the token %s", principal.id, token)
            return EncodedResponse(msgspec.json.encode(Revoked(token)))

        return await carry_out(request, authenticator, key, work)


class FeedAddresses(Controller):
    @credential_post(
        "/feeds/create",
        summary="Make the secret address of a feed",
        response_description="It is made. The answer shows it, and nothing else ever does.",
        responses=AGAIN_FEED | FORBIDDEN,
    )
    async def create(self, request: AnyRequest, data: JSONBody[FeedRequest]) -> EncodedResponse[NewFeed]:
        """Makes an address with a key, for a calendar program that cannot sign in. It opens this feed, as you may see
        it at that moment, and nothing else. An address that you had for the same feed ends.

        Only a person makes one, who has the role `reader` on the project or the cluster. A repeat with the same
        Idempotency-Key does not show the address again: make it anew.
        """
        path, principal = parse_feed_path(data.path), principal_of(request)
        key = key_of(request, principal.id, data)
        if (authenticator := parts_of(request).authenticator) is None:
            return await parts_of(request).keys.refuse(key, SignInNotSetUp())
        maker = person_in(principal)
        if path.pool is not None:
            await parts_of(request).handler.require(path.pool, "reader", principal, "path", "CreateFeed")

        async def work(connection: Connection) -> EncodedResponse[NewFeed]:
            await _begin(connection, request, authenticator, principal)
            made = await create_feed(connection, path, maker)
            log.info("%s made the feed address %s", maker, made.id)
            return created(NewFeed(made.id, origin_of(request) + made.address))

        return await carry_out(request, authenticator, key, work, "address")

    @credential_post(
        "/feeds/{feed:uuid}/revoke",
        status_code=200,
        summary="Revoke the secret address of a feed",
        response_description="It is not valid any more.",
        responses=FORBIDDEN,
    )
    async def revoke(self, request: AnyRequest, feed: FeedInPath) -> EncodedResponse[Revoked]:
        """Ends an address of a feed. Within five seconds no service takes it any more.

        You may revoke your own addresses, and the admins of the whole ledger everybody's.
        """
        principal = principal_of(request)
        key = key_of(request, principal.id, None)
        if (authenticator := parts_of(request).authenticator) is None:
            return await parts_of(request).keys.refuse(key, SignInNotSetUp())
        maker = None if administers(authenticator.policy, principal) else person_in(principal)

        async def work(connection: Connection) -> EncodedResponse[Revoked]:
            await revoke_feed(connection, feed, maker)
            log.info("%s revoked the feed address %s", principal.id, feed)
            return EncodedResponse(msgspec.json.encode(Revoked(feed)))

        return await carry_out(request, authenticator, key, work)


def person_in(principal: Principal) -> str:
    """The id of the person who sends the request. Raises PersonNeeded for a token, and for an application credential:
    what these make would outlive them."""
    if not principal.is_person:
        raise PersonNeeded("a program makes no credentials, and a token ends none but itself; sign in as a person")
    return principal.id


async def _check_limits(request: AnyRequest, principal: Principal, limits: Iterable[Limit]) -> None:
    """Raises Forbidden for a limit that is more than the principal has now, UnknownId for a pool that it cannot see."""
    for limit in limits:
        await parts_of(request).handler.require(limit.pool, limit.role, principal, "limits", "CreateToken")


async def _begin(
    connection: Connection, request: AnyRequest, authenticator: Authenticator, principal: Principal
) -> None:
    """Comes before a credential is made, in the same transaction. Nobody else makes or ends one until it is stored. It
    outlives the request: so the session must go on, and the groups of the person are written."""
    await begin(connection)
    await authenticator.check_again(request.scope)
    await note_groups(connection, principal)


async def carry_out(
    request: AnyRequest,
    authenticator: Authenticator,
    key: Key | None,
    work: Callable[[Connection], Awaitable[EncodedResponse[Any]]],
    secret: str = "",
) -> EncodedResponse[Any]:
    """Does `work`, and forgets what this process knows of credentials. The other processes do so within a second. The
    answer to a repeat has null in place of the field `secret`."""
    answer = await parts_of(request).keys.once(key, work, without(secret) if secret else whole)
    authenticator.forget()
    return answer


def created(made: NewToken | NewFeed) -> EncodedResponse[Any]:
    return EncodedResponse(msgspec.json.encode(made), status_code=201, headers={"Cache-Control": "no-store"})


def origin_of(request: AnyRequest) -> str:
    """The beginning of the addresses of this ledger, without a slash at the end."""
    return (parts_of(request).public_url or str(request.base_url)).rstrip("/")
