"""The parts of the service that routes use. `create_app` in app.py makes them; a route gets them by `parts_of`.

Litestar's own dependencies (`Provide`) cost a cached read 70 % more time for one part, so one struct in the state of
the application holds them all.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import MultiDict

from services.query.answers.access import Access
from services.query.answers.admission import Admission
from services.query.answers.answers import Answers
from services.query.answers.freshness import Positions
from services.query.as_of_database import Past
from services.query.database import Database
from services.query.live.tail import Tail
from services.query.routes.page_files import Page
from services.query.routes.rights import RightsNow
from services.query.standby import Standby
from shared.identity.authenticator import Authenticator

AnyRequest = Request[Any, Any, Any]
GIVEN = "hourbook_given"  # kept in the scope of a request


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """`database` is the newest state, `past` the state at a position. `answers` is the cache of answers in front of the
    database. `positions` waits for a position. `wide` admits reads of many hours. The tails follow events and notices
    for live subscribers. `page` is the web page. `access` says who has which role. `authenticator` says who sends a
    request, and `rights` what they may do; None: nobody signs in. `standby` watches the database that is read; None: it
    is the primary."""

    database: Database
    positions: Positions
    access: Access
    answers: Answers
    wide: Admission
    past: Past
    event_tail: Tail
    notice_tail: Tail
    page: Page
    authenticator: Authenticator | None = None
    rights: RightsNow | None = None
    standby: Standby | None = None


def parts_of(request: AnyRequest) -> Parts:
    """The parts of the application that answers the request. By its key: as an attribute of the state, it takes seven
    times as long to look up, and a read asks several times."""
    parts: Parts = request.app.state["parts"]
    return parts


def given_in(request: AnyRequest) -> MultiDict[Any]:
    """The query parameters of the request. Change nothing in them. The framework would make a new dictionary for each
    look at them."""
    scope: dict[str, Any] = request.scope  # type: ignore[assignment]
    given: MultiDict[Any] | None = scope.get(GIVEN)
    if given is None:
        given = scope[GIVEN] = request.query_params
    return given
