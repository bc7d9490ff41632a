"""The bounds of one project, so that it does not take all memory and disc; and of one command, so that it does not keep
others waiting.

Events that are stored are never refused. A project that is beyond a bound can be loaded, and can give back what it has.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime

import msgspec

from services.command.domain.commands import AmendSeries, CancelSeries, Command, Context, CreateSeries
from services.command.domain.floor import floor_of
from services.command.domain.series import occurrences
from services.command.domain.state import ProjectState
from shared.errors import InvalidField, ProjectLimitExceeded, TooMuchAtOnce
from shared.events import (
    AccountCreated,
    AccountMemberAdded,
    BookingAmended,
    BookingContested,
    BookingCreated,
    ClusterCreated,
    ClusterResized,
    ClusterResizeRequested,
    Event,
    GrantCreated,
    RoleGranted,
    TemplateCreated,
)
from shared.hours import PERIOD_HOURS_MAX, Period, hour_of, instant_of, next_hour
from shared.timeline import Timeline


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The greatest numbers that are allowed. In one project:

    pools            clusters, also those that have ended, and the project itself
    grants           that have not ended
    bookings         that have not ended
    accounts         names that are listed or have booked
    templates        versions of templates
    roles            roles that members have, and members of accounts
    resizes          requested resizes that are neither applied nor failed
    tentative        tentative claims
    tentative_hours  the sum of their hours
    pool_hours       the hours of all clusters' periods, and from the project's first hour to its last: the rows of its
                     calendars in the database
    account_hours    likewise of the listed accounts, and of their shares of each cluster; hours that are long over do
                     not count
    state_bytes      roughly the bytes that the command service uses for the project. Of a timeline it counts the steps
                     and pages that are in memory: ten years of one value are two steps, ten busy years 172 pages

    By one command:

    series_hours     the sum of the hours of all occurrences of a recurring booking
    reviewed         claims to look at again when capacity is taken away
    """

    pools: int = 10_000
    grants: int = 100_000
    bookings: int = 2_000_000
    accounts: int = 100_000
    templates: int = 10_000
    roles: int = 10_000
    resizes: int = 10_000
    tentative: int = 2_000
    tentative_hours: int = 1_000_000
    pool_hours: int = 5_000_000
    account_hours: int = 2_000_000
    state_bytes: int = 1 << 30
    series_hours: int = PERIOD_HOURS_MAX
    reviewed: int = 3_000


DEFAULT = Bounds()
BOUNDLESS = Bounds(**dict.fromkeys(Bounds.__struct_fields__, sys.maxsize))

# Roughly the bytes in memory of one of each, as measured: what a process grows by.
POOL_BYTES = 1200  # with timelines that are empty
ACCOUNT_BYTES = 550  # likewise
CLAIM_BYTES = 450  # a grant, a requested resize, or a booking that has just been made or changed
BOOKING_BYTES = 64  # a booking in a block, see `booking_table.py`
GROUP_BYTES = 450  # a group of nodes in the layout of a cluster or a requested resize
SMALL_BYTES = 250  # a name, or what else is about as small

WORDS = {
    "pools": "pools (the project itself and all clusters, ended ones too)",
    "grants": "grants that have not ended",
    "bookings": "bookings that have not ended",
    "accounts": "accounts (listed, or having booked)",
    "templates": "versions of templates",
    "roles": "roles and members of accounts",
    "resizes": "pending resizes",
    "tentative": "tentative claims",
    "tentative_hours": "hours in its tentative claims",
    "pool_hours": "hours in its calendars (each cluster's period, and the project's from its first hour to its last)",
    "state_bytes": "bytes in the command service's memory",
    "account_hours": "hours in its accounts' calendars (each account's, from its first booked hour to its last)",
}
WAYS = {
    "pool_hours": "choose a shorter period or one nearer to the others",
    "account_hours": "choose a shorter period or one nearer to the account's others",
    "resizes": "apply or fail some of them",
    "roles": "revoke some, or give a role to a group",
    "tentative": "wait until some are confirmed, or cancel some",
    "tentative_hours": "wait until some are confirmed, or cancel some",
}
COUNTED: dict[type[Event], str] = {
    ClusterCreated: "pools",
    GrantCreated: "grants",
    BookingCreated: "bookings",
    TemplateCreated: "templates",
    RoleGranted: "roles",
    AccountMemberAdded: "roles",
    ClusterResizeRequested: "resizes",
}
BOOKED = (BookingCreated, BookingAmended)  # a union in isinstance() would be made at each call: half a microsecond
CHANGED = (AmendSeries, CancelSeries)
GROWING = {*COUNTED, BookingAmended, BookingContested, ClusterResized, AccountCreated}


def check_command(state: ProjectState, command: Command, context: Context, bounds: Bounds) -> None:
    """Checks a command before it is decided. Raises InvalidField for a recurring booking of too many hours, and
    TooMuchAtOnce for the change of one that has too many hours to come."""
    if isinstance(command, CreateSeries):
        hours = sum(period.hours for period in command.periods)
        if hours > bounds.series_hours:
            raise InvalidField(
                "rrule",
                f"its {len(command.periods)} occurrences are {hours} hours together, and a recurring booking has"
                f" {bounds.series_hours} at most; give shorter or fewer ones, or book in several steps",
            )
    elif isinstance(command, CHANGED):
        found, earliest = occurrences(state, command.series, command.since), next_hour(context.at)
        hours = sum(max(0, one.booking.end - max(one.booking.start, earliest)) for one in found)
        if hours > bounds.series_hours:
            raise TooMuchAtOnce(
                f"the occurrences are {hours} hours together, and one command changes {bounds.series_hours} at most;"
                " say from which day on, or change some of them by themselves before",
                asked=hours,
                allowed=bounds.series_hours,
            )


def check_growth(state: ProjectState, project: str, events: list[Event], at: datetime, bounds: Bounds) -> None:
    """Raises ProjectLimitExceeded if the project may not hold what the events add to it. What has ended before the
    hour of `at` does not count, whether the state still holds it or not."""
    events = [event for event in events if type(event) in GROWING]
    if state.name is None:
        return  # a new project, with its first admin
    if not events or (len(events) == 1 and _is_small(state, project, events[0], bounds)):
        return
    hour = hour_of(at)
    for limit, asked in _grown(state, project, events, hour):
        allowed = getattr(bounds, limit)
        if asked > allowed and (asked := asked - _ended(state, limit, hour)) > allowed:
            way = WAYS.get(limit, "use another project")
            setting = f"HOURBOOK_{limit.upper()}_MAX"
            raise ProjectLimitExceeded(
                f"{project!r} would have {asked} {WORDS[limit]}, and {allowed} are allowed in a project; {way}, or have"
                f" {setting} raised",
                limit=limit,
                asked=asked,
                allowed=allowed,
                setting=setting,
            )


def _is_small(state: ProjectState, project: str, event: Event, bounds: Bounds) -> bool:
    """Whether the event is a booking in hours that are in memory, by a known name. Most are, and this is quick."""
    if not isinstance(event, BOOKED) or event.tentative or event.account not in state.names:
        return False
    start, end = hour_of(event.start), hour_of(event.end)
    if event.pool == project and state.pools[project].free.grown_by(start, end):
        return False
    if (account := state.accounts.get(event.account)) is not None:
        shares = account.shares.get(event.pool) if event.share else account.held
        if shares is None or shares.grown_by(start, end) or account.held.grown_by(start, end):
            return False
    return state.bookings.count < bounds.bookings and _bytes_of(state) <= bounds.state_bytes


def _grown(state: ProjectState, project: str, events: list[Event], hour: int) -> Iterator[tuple[str, int]]:
    """Each bound that the events count for, and how much the project would hold."""
    for limit, more in Counter(limit for event in events if (limit := _counted(state, event))).items():
        yield limit, _held(state, limit) + more
        yield "state_bytes", _bytes_of(state)
    booked = [event for event in events if isinstance(event, BOOKED)]
    listed = [event for event in events if isinstance(event, AccountCreated)]
    if names := {event.account for event in (*listed, *booked)} - state.names:
        yield "accounts", len(state.names) + len(names)
    if claims := [hours for event in events if (hours := _hours_of_new_claim(state, event))]:
        held = _tentative_hours(state, hour)
        yield "tentative", len(held) + len(claims)
        yield "tentative_hours", sum(held) + sum(claims)
    if more := _pool_hours(state, project, events):
        yield "pool_hours", state.cluster_hours + state.pools[project].free.hours + more
    first = floor_of(instant_of(hour))  # a state may not know what an account had before
    if (state.accounts or listed) and (more := _account_hours(state, booked, listed, first)):
        yield "account_hours", state.account_hours + more


def _counted(state: ProjectState, event: Event) -> str | None:
    """The bound for which the event counts 1. A cluster with the name of one that ended is not one more pool."""
    if isinstance(event, ClusterCreated) and event.cluster in state.pools:
        return None
    return COUNTED.get(type(event))


def _held(state: ProjectState, limit: str) -> int:
    match limit:
        case "templates":
            return sum(map(len, state.templates.values()))
        case "resizes":
            return len(state.requests)
        case "roles":
            given = sum(len(roles) for held in state.bindings.values() for roles in held.values())
            return given + sum(map(len, state.members.values()))
        case _:
            return len(getattr(state, limit))


def _ended(state: ProjectState, limit: str, hour: int) -> int:
    """How much of what counts for a bound has ended before `hour`."""
    match limit:
        case "bookings":
            return len(state.bookings) - state.bookings.reaching(hour)
        case "grants":
            return sum(grant.end <= hour for grant in state.grants.values())
        case "state_bytes":
            grants, bookings = _ended(state, "grants", hour), _ended(state, "bookings", hour)
            return CLAIM_BYTES * grants + BOOKING_BYTES * bookings
        case "account_hours":
            first = floor_of(instant_of(hour))
            return state.account_hours - sum(account.hours(first) for account in state.accounts.values())
        case _:
            return 0


def _bytes_of(state: ProjectState) -> int:
    """Roughly the bytes in memory: a quick form of `size_of`."""
    claims = CLAIM_BYTES * len(state.grants) + BOOKING_BYTES * state.bookings.count
    named = POOL_BYTES * len(state.pools) + ACCOUNT_BYTES * len(state.accounts) + SMALL_BYTES * len(state.names)
    return state.timeline_bytes + claims + named


def _hours_of_new_claim(state: ProjectState, event: Event) -> int:
    """The hours of the claim that the event makes tentative; 0 if it makes none."""
    match event:
        case BookingCreated() | ClusterCreated():
            new = event.tentative
        case BookingAmended():
            new = event.tentative and not state.bookings[event.booking].tentative and not _gives_back(event)
        case ClusterResized():
            new = event.tentative and state.pools[event.cluster].growth is None
        case BookingContested():
            booking = state.bookings[event.booking]
            return booking.end - booking.start
        case _:
            return 0
    return hour_of(event.end) - hour_of(event.start) if new else 0


def _gives_back(event: BookingAmended) -> bool:
    """Whether the booking takes no more than before in any hour. It may be tentative: it is younger now."""
    counts = zip(event.capacity.counts(), event.from_capacity.counts(), strict=True)
    within = event.start >= event.from_start and event.end <= event.from_end
    return within and event.share <= event.from_share and all(now <= before for now, before in counts)


def _tentative_hours(state: ProjectState, hour: int) -> list[int]:
    """The number of hours of each claim that is tentative now and has not ended before `hour`."""
    bookings = [state.bookings[key] for key in state.tentative]
    grown = [pool.growth.hours for pool in state.pools.values() if pool.growth is not None and pool.growth.end > hour]
    return [booking.end - booking.start for booking in bookings if booking.end > hour] + grown


def _pool_hours(state: ProjectState, project: str, events: list[Event]) -> int:
    """How many hours the timelines of new clusters and of the project would grow by. A cluster with the name of one
    that ended continues its timeline, with the hours between them."""
    more, own = 0, list[int]()
    for event in events:
        match event:
            case BookingCreated() | BookingAmended():
                pool = event.pool
            case GrantCreated():
                pool = project
            case ClusterCreated():
                pool, span = event.parent, Period(hour_of(event.start), hour_of(event.end))
                before = state.pools.get(event.cluster)
                more += span.hours if before is None else before.size.grown_by(*span)
            case _:
                continue
        if pool == project:
            own += (hour_of(event.start), hour_of(event.end))
    return more + (state.pools[project].free.grown_by(min(own), max(own)) if own else 0)


def _account_hours(
    state: ProjectState, booked: list[BookingCreated | BookingAmended], listed: list[AccountCreated], first: int
) -> int:
    """How many hours, from `first` on, the timelines of listed accounts would grow by: one of each account, and one of
    each cluster in which it has shares."""
    reached: dict[tuple[str, str | None], list[int]] = defaultdict(lambda: [sys.maxsize, 0])
    for event in booked:
        if event.account in state.accounts:
            start, end = max(first, hour_of(event.start)), hour_of(event.end)
            if start >= end:
                continue
            _reach(reached[event.account, None], start, end)
            if event.share:
                _reach(reached[event.account, event.pool], start, end)
    for created in listed:
        if created.account in state.names:
            _reach_booked(state, created.account, floor_of(created.at), reached)
    return sum(_timeline(state, *key).grown_by(*hours) for key, hours in reached.items())


def _reach_booked(
    state: ProjectState, account: str, first: int, reached: dict[tuple[str, str | None], list[int]]
) -> None:
    """Adds to `reached` the hours, from `first` on, of what the account has booked before the project lists it."""
    for found in state.bookings.packed().blocks(lambda block: block.of_accounts([account]) & block.live()):
        if len(found.rows):
            start, end = found.column("start").clip(first), found.column("end").clip(first)
            _reach(reached[account, None], int(start.min()), int(end.max()))
            of_share = found.column("share") > 0
            for one in found.split(of_share)[0].bookings():
                _reach(reached[account, one.pool], max(one.start, first), max(one.end, first))


def _reach(hours: list[int], start: int, end: int) -> None:
    if start < hours[0]:
        hours[0] = start
    if end > hours[1]:
        hours[1] = end


def _timeline(state: ProjectState, name: str, pool: str | None) -> Timeline:
    if (account := state.accounts.get(name)) is None:
        return Timeline()
    return account.held if pool is None else account.shares.get(pool, Timeline())
