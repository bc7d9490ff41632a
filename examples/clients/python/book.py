"""Books, reads and pages with the typed client that openapi-python-client makes (docs/clients.md).

HOURBOOK_URL=http://127.0.0.1:8080 python book.py gaia
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from hourbook_client import AuthenticatedClient, Client
from hourbook_client.api.available import get_available_select
from hourbook_client.api.bookings import get_bookings_select, post_bookings_create
from hourbook_client.api.clusters import post_clusters_create
from hourbook_client.api.events import get_events
from hourbook_client.api.projects import post_projects_create
from hourbook_client.api.resources import post_resources_create
from hourbook_client.models import (
    Availability,
    Booking,
    BookingCreated,
    BookingRequest,
    Bookings,
    ClusterCreated,
    ClusterRequest,
    Columns,
    EventPage,
    GrantCreated,
    GrantRequest,
    Numbers,
    NumbersByDimension,
    Outcome,
    Previewed,
    Problem,
    ProjectRequest,
    StoredEvent,
)
from hourbook_client.types import UNSET, Unset

FIRST_DAY, LAST_DAY = "2030-06-03", "2030-06-09"  # bare dates: both days belong to the period
WEEK = f"{FIRST_DAY},{LAST_DAY}"
AnyClient = Client | AuthenticatedClient


class Refused(Exception):
    """The answer is a problem document (RFC 9457). `problem.code` is for programs, `problem.detail` for people."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.problem = problem


class NoAnswer(Exception):
    """The answer has a status that the document does not name, such as the 502 of a proxy."""


def signed_in(url: str, token: str | None) -> AnyClient:
    """A client. Where people sign in, a program needs a token."""
    return AuthenticatedClient(url, token) if token else Client(url)


def done(answer: Outcome | Previewed | Problem | None) -> Outcome:
    """The outcome of a command. Raises Refused or NoAnswer. (Previewed answers only a dry run.)"""
    match answer:
        case Outcome():
            return answer
        case Problem():
            raise Refused(answer)
        case _:
            raise NoAnswer


def prepare(client: AnyClient, project: str) -> str:
    """Makes a project, its grant and a cluster. Returns the id of the cluster. With the same Idempotency-Key, a command
    that is sent again is carried out once: so the program may run again."""
    made = ProjectRequest(id=project, name=project)
    done(post_projects_create.sync(client=client, body=made, idempotency_key=f"{project}-project"))
    grant = GrantRequest(project=project, cores=64, startdate=FIRST_DAY, enddate=LAST_DAY)
    done(post_resources_create.sync(client=client, body=grant, idempotency_key=f"{project}-grant"))
    cluster = ClusterRequest(parent=project, name="spark", cores=16, startdate=FIRST_DAY, enddate=LAST_DAY)
    return done(post_clusters_create.sync(client=client, body=cluster, idempotency_key=f"{project}-spark")).id


def book(client: AnyClient, cluster: str, account: str, cores: int) -> Outcome:
    """Books cores of the cluster for the week. Raises Refused if there are too few."""
    body = BookingRequest(clusterid=cluster, account=account, cores=cores, startdate=FIRST_DAY, enddate=LAST_DAY)
    return done(post_bookings_create.sync(client=client, body=body, idempotency_key=f"{cluster}-{account}-{cores}"))


def free_by_day(client: AnyClient, cluster: str, position: int) -> list[tuple[str, int]]:
    """Each day of the week, with the cores that are free all day. The answer shows the event at `position`."""
    answer = get_available_select.sync(client=client, clusterid=cluster, range_=WEEK, min_position=position)
    if not isinstance(answer, Availability) or isinstance(answer.blocks, Unset):
        raise wrong(answer)
    return [
        (f"{block.start:%Y-%m-%d}", block.available.min_.cores or 0)
        for block in answer.blocks
        if not isinstance(block.available, Unset)
    ]


def free_in_columns(client: AnyClient, cluster: str, position: int) -> list[int]:
    """The same as one list of numbers: better for many blocks."""
    answer = get_available_select.sync(
        client=client, clusterid=cluster, range_=WEEK, shape="columns", dimensions="cores", min_position=position
    )
    match answer:
        case Availability(columns=Columns(available=NumbersByDimension(cores=Numbers(min_=numbers)))):
            return numbers
        case _:
            raise wrong(answer)


def bookings(client: AnyClient, cluster: str, position: int) -> Iterator[Booking]:
    """All bookings of the cluster in the week, page after page: `next` of a page is `after` of the following one."""
    after: str | Unset | None = UNSET
    while after is not None:
        page = get_bookings_select.sync(
            client=client, clusterid=cluster, range_=WEEK, limit=1, after=after, min_position=position
        )
        if not isinstance(page, Bookings):
            raise wrong(page)
        yield from page.items
        after = page.next_


def events(client: AnyClient, project: str) -> Iterator[StoredEvent]:
    """All events of the project, page after page."""
    after: int | None = 0
    while after is not None:
        page = get_events.sync(client=client, project=project, after=after, limit=2)
        if not isinstance(page, EventPage):
            raise wrong(page)
        yield from page.events
        after = page.next_


def told(stored: StoredEvent) -> str:
    """An event in words. `type` tells events apart; each type has a class."""
    match stored.event:
        case BookingCreated() as event:
            return f"{event.account} booked in {event.pool}"
        case ClusterCreated() as event:
            return f"cluster {event.cluster}"
        case GrantCreated() as event:
            return f"grant to {event.project}"
        case event:
            return event.type_


def wrong(answer: object) -> Exception:
    return Refused(answer) if isinstance(answer, Problem) else NoAnswer(answer)


def main(client: AnyClient, project: str) -> None:
    cluster = prepare(client, project)
    book(client, cluster, "ada", 10)
    position = book(client, cluster, "grace", 2).position
    try:
        book(client, cluster, "lin", 5)
    except Refused as refused:
        print("refused", refused.problem.status, refused.problem.code)
    for day, cores in free_by_day(client, cluster, position):
        print(day, cores)
    print("columns", *free_in_columns(client, cluster, position))
    for booking in bookings(client, cluster, position):
        print("booking", booking.account, booking.cores, booking.state)
    for stored in events(client, project):
        print(stored.position, told(stored))


if __name__ == "__main__":
    url = os.environ.get("HOURBOOK_URL", "http://127.0.0.1:8080")
    with signed_in(url, os.environ.get("HOURBOOK_TOKEN")) as client:
        main(client, sys.argv[1])
