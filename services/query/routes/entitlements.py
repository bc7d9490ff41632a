"""What an account holds at an instant."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec
from litestar import Controller
from litestar.params import QueryParameter

from services.query.documents import entitlements
from services.query.live.entitled import Entitled
from services.query.questions.model import EntitlementsQuestion
from services.query.questions.parameters import optional_moment, optional_project, required
from services.query.questions.sight import whole_or
from services.query.routes.answering import LAST_EVENT_ID, answered, last_event_id, preferred
from services.query.routes.forms import CSV, in_json, live
from services.query.routes.needs import seen, somewhere, watch_of
from services.query.routes.parameters import AS_OF, BomText, MinPosition, Project
from services.query.routes.parts import AnyRequest, given_in, parts_of
from services.query.routes.reads import read
from services.query.views.entitlements import read_entitlements
from services.query.views.history import check_project
from shared.errors import InvalidField
from shared.hours import EARLIEST, LATEST, hour_of
from shared.http.responses import EncodedResponse, StreamedResponse
from shared.identity.roles import Right
from shared.names import asked_name

AccountText = Annotated[
    str | None, QueryParameter(description="The name of an account, as bookings name it. It must be given.")
]
AtText = Annotated[
    str | None,
    QueryParameter(
        description="The instant, as `2020-06-08T09:30:00Z`; the answer is about its whole hour. The default is now."
    ),
]


class Entitlements(Controller):
    @read(
        "/entitlements",
        "What an account holds at an instant",
        in_json(entitlements.AccountEntitlements, also=(CSV,)),
        somewhere(Right.NAMES),
    )
    async def held(
        self,
        request: AnyRequest,
        account: AccountText = None,
        at: AtText = None,
        project: Project = None,
        min_position: MinPosition = 0,
        bom: BomText = None,
    ) -> EncodedResponse[bytes]:
        """`{account, at, position, until, entitlements: [{pool, project, servers, cores, memory, tempdisc, userdisc,
        datadisc, until, bookings: [{id, start, end, share, state}]}]}`, ordered by pool: what the account may use.

        `at` is the start of the hour. An amount is the sum of the account's bookings in the pool. Its shares of a
        cluster count as their part of the size that the cluster has in that hour, rounded down. A booking that is
        tentative counts in the hours that the pool has; it does not count in an hour that the pool is short of. A pool
        of which the account holds nothing is left out.

        `until` of a pool is the instant at which its amounts change next, as far as it is known now. Bookings that
        follow each other without a gap, at the same amounts, are one run. The outer `until` is the first instant at
        which any amount changes; with an empty list, that is when the account holds something next. It is null if that
        is never. Only bookings in pools whose names you may see count. As text/csv: one row for each pool."""
        del bom
        question = question_of(request, account, at, project, datetime.now(UTC))
        # A read of the past holds a session, and waits for no other turn than that.
        wide = None if AS_OF in given_in(request) else parts_of(request).wide
        return await answered(request, question, partial(read_entitlements, wide=wide), min_position)

    @read(
        "/entitlements/stream",
        "What an account holds, live",
        live(entitlements.AccountEntitlements),
        somewhere(Right.NAMES),
    )
    async def stream(
        self, request: AnyRequest, account: AccountText = None, project: Project = None
    ) -> StreamedResponse[bytes]:
        """Server-sent events of the kind `entitlements`, without an end. `data` is the answer of /entitlements for now,
        `id` is its position. The first comes at once, the next ones whenever `until` or `entitlements` has changed: by
        a decision, or because an hour has come in which a booking begins or ends, or a cluster has another size.

        The first answer shows at least the position in the header `Last-Event-ID` (browsers send it when they
        reconnect). Every 15 seconds without an answer, a heartbeat carries the last position that was looked at."""
        asked = question_of(request, account, None, project, datetime.now(UTC))
        asked = msgspec.structs.replace(asked, csv=False)
        parts, watch = parts_of(request), watch_of(request, asked.project)
        await check_project(parts.database, asked.project)
        begin = await parts.event_tail.begin(last_event_id(request), LAST_EVENT_ID)
        entitled = Entitled(parts.event_tail, parts.database, asked, watch, wide=parts.wide)
        return parts.event_tail.response(entitled.follow(begin), {"Hourbook-Position": str(begin)})


def question_of(
    request: AnyRequest, account: str | None, at: str | None, project: str | None, now: datetime
) -> EntitlementsQuestion:
    """The question about the hour of `at`, or of `now`. Raises InvalidField, UnknownId."""
    wanted, moment = optional_project(project), optional_moment(at, "at")
    hour = hour_of(now if moment is None else moment.astimezone(UTC))
    if not EARLIEST <= hour < LATEST:
        raise InvalidField("at", "give an instant of the years 2000 to 2099")
    return EntitlementsQuestion(
        account=asked_name(required(account, "account", "an account"), "account"),
        project=wanted,
        hour=hour,
        csv=preferred(request, CSV),
        within=whole_or(seen(request), wanted),
    )
