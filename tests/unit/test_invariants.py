"""What is true in every hour, for every pool, after every command of long random histories with all that there is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from uuid import UUID

import numpy as np
import pytest

from services.command.domain import (
    AmendBooking,
    ApplyResize,
    CancelBooking,
    CloseAccount,
    Command,
    CreateAccount,
    CreateBooking,
    CreateCluster,
    CreateExclusive,
    CreateGrant,
    CreateSeries,
    CreateTemplate,
    FailResize,
    RequestResize,
    ResizeCluster,
    SetLimits,
    SettleConflicts,
    TemplateCount,
    WithdrawGrant,
    nearest,
)
from services.command.domain.room import horizon_of
from services.command.domain.state import Booking, ProjectState
from services.command.snapshots import decode_state, encode_state
from shared.capacity import NOTHING, Capacity, Vector, reserved
from shared.errors import CapacityExceeded, HourbookError
from shared.events import EVENT_TYPES, Event, Limits, Overcommit
from shared.hours import Period, next_hour
from tests.project import T0, Project, frozen

LAST = 500
STEPS = 400
KINDS = [
    "grant",
    "withdraw",
    "cluster",
    "resize",
    "request",
    "apply",
    "fail",
    "book",
    "book",
    "book",
    "amend",
    "amend",
    "cancel",
    "series",
    "exclusive",
    "template",
    "account",
    "limits",
    "close",
]


@pytest.mark.parametrize("seed", range(8))
def test_every_hour_of_every_pool_after_every_command(seed: int) -> None:
    project, refused = None, 0
    for project, command, refusal in history(seed):
        refused += refusal is not None
        if isinstance(refusal, CapacityExceeded):
            check_nearest(project, command)
        check(project)
    assert project is not None
    assert refused > 20
    kept = decode_state(encode_state(project.state), project.state.version)
    assert frozen(kept) == frozen(project.state)


def test_the_histories_make_every_type_of_event() -> None:
    made: set[type[Event]] = set()
    for seed in range(30):
        *_, (project, _, _) = history(seed)
        made |= {type(event) for event in project.history}
        if made == set(EVENT_TYPES):
            break
    assert made == set(EVENT_TYPES)


def history(seed: int) -> Iterator[tuple[Project, Command, HourbookError | None]]:
    """The project after each command, and the refusal, if it was refused."""
    chance, now = random.Random(seed), 0
    project = Project(beyond_hours=chance.choice([None, 1, 40]))
    for _ in range(STEPS):
        if chance.random() < 0.06:
            now += chance.choice([1, 1, 5, 20])
            project.at(now)
            project.do(SettleConflicts())
        command = random_command(chance, project.state)
        if command is None:
            continue
        refusal = None
        try:
            project.do(command)
        except HourbookError as refused:
            refusal = refused
        yield project, command, refusal


def random_command(chance: random.Random, state: ProjectState) -> Command | None:
    start = T0 + chance.randrange(-10, LAST - 160)
    period = Period(start, start + chance.choice([1, 2, 5, 24, 72, 150]))
    some = Capacity(cores=chance.randrange(6), memory=chance.randrange(5), datadisc=chance.randrange(2))
    pools, new = list(state.pools), UUID(int=chance.getrandbits(128), version=4)
    clusters = pools[1:]
    share = chance.choice([100, 1000, 3333, 5000, 10_000])
    book = CreateBooking(
        booking=new, pool=chance.choice(pools), account=chance.choice("abc"), period=period, capacity=some
    )
    if chance.random() < 0.3 and clusters:
        book = CreateBooking(
            booking=new, pool=chance.choice(clusters), account="a", period=Period(start, start + 3), share=share
        )
    amount = chance.choice([{}, {"capacity": some}, {"share": share}, {"template": TemplateCount(name="t", count=2)}])
    bookings, grants, requests = list(state.bookings), list(state.grants), list(state.requests)
    resize = ResizeCluster(
        cluster=chance.choice(clusters) if clusters else "", start=start, end=chance.choice([None, start + 20]),
        capacity=chance.choice([NOTHING, some, Capacity(cores=9, memory=8, datadisc=3)]),
    )  # fmt: skip
    match chance.choice(KINDS):
        case "grant":
            large = Capacity(cores=chance.randrange(20, 40), memory=20, datadisc=9)
            return CreateGrant(grant=new, period=period, capacity=large)
        case "withdraw" if grants:
            return WithdrawGrant(grant=chance.choice(grants))
        case "cluster" if len(pools) < 8:
            policy = chance.choice([None, None, "never", Overcommit(beyond_hours=30)])
            parent = chance.choice(pools)
            return CreateCluster(
                cluster=f"{parent}.c{len(pools)}", parent=parent, kind="x", period=period, capacity=some,
                overcommit=policy,
            )  # fmt: skip
        case "resize" if clusters:
            return resize
        case "request" if clusters:
            return RequestResize(request=new, resize=resize)
        case "apply" if requests:
            return ApplyResize(cluster=state.requests[requests[0]].cluster, request=requests[0])
        case "fail" if requests:
            return FailResize(cluster=state.requests[requests[-1]].cluster, request=requests[-1], error="no host")
        case "book":
            return book
        case "amend" if bookings:
            end = chance.choice([None, period.end])
            return AmendBooking(
                booking=chance.choice(bookings),
                start=chance.choice([None, start]),
                end=end,
                **amount,  # type: ignore[arg-type]
            )
        case "cancel" if bookings:
            return CancelBooking(booking=chance.choice(bookings))
        case "series":
            periods = tuple(Period(period.start + 30 * n, period.start + 30 * n + 3) for n in range(4))
            first = CreateBooking(booking=new, pool=book.pool, account=book.account, period=periods[0], capacity=some)
            return CreateSeries(booking=first, periods=periods, rrule="", timezone="UTC", skip=chance.random() < 0.7)
        case "exclusive" if len(pools) < 8:
            return CreateExclusive(
                booking=new, cluster=f"gaia.x{len(pools)}", parent="gaia", account="a", period=period, capacity=some
            )
        case "template":
            return CreateTemplate(template="t", capacity=Capacity(cores=chance.randrange(1, 3), memory=1))
        case "account" if len(state.accounts) < 3 and chance.random() < 0.2:
            return CreateAccount(account="abc"[len(state.accounts)], name="x", limits=Limits(capacity={"cores": 25}))
        case "limits" if state.accounts:
            return SetLimits(account="a", limits=Limits(monthly_hours={"memory": chance.randrange(500, 2000)}))
        case "close" if len(state.accounts) == 3 and chance.random() < 0.05:
            return CloseAccount(account="c")
    return None


def check(project: Project) -> None:
    """From now on: what lies behind is not in the state any more."""
    first = next_hour(project.now)
    for pool_id, pool in project.state.pools.items():
        hours = (first, T0 + LAST)
        free, size, shares = pool.free.read(*hours), pool.size.read(*hours), pool.shares.read(*hours)
        assert np.array_equal(free, size - taken(project.state, pool_id, *hours) - reserved(size, shares))
        assert (size >= 0).all()
        assert ((shares >= 0) & (shares <= 10_000)).all()
        horizon = horizon_of(pool, project.now)
        assert (free[: None if horizon is None else max(0, horizon - first)] >= 0).all()
    for booking_id, booking in project.state.bookings.items():
        if booking.end > booking.start >= first:
            assert booking.tentative == (not fits_without_the_younger(project.state, booking)), booking_id
        assert (booking_id in project.state.tentative) == booking.tentative


def taken(state: ProjectState, pool_id: str, start: int, end: int, *, until: int | None = None) -> Vector:
    """Counts of the pool's bookings (up to an order) and the sizes of its clusters, by the hour."""
    cells = np.zeros((end - start, 6), dtype=np.int64)
    for booking in claims(state, pool_id, until):
        cells[max(0, booking.start - start) : max(0, booking.end - start)] += booking.capacity.vector()
    for child in state.pools.values():
        if child.parent == pool_id:
            cells += child.size.read(start, end)
            if until is not None and child.growth is not None and child.order > until:
                cells -= child.growth.read(start, end)
    return cells


def claims(state: ProjectState, pool_id: str, until: int | None) -> Iterator[Booking]:
    for booking in state.bookings.values():
        if booking.pool == pool_id and booking.start < booking.end and (until is None or booking.order <= until):
            yield booking


def fits_without_the_younger(state: ProjectState, booking: Booking) -> bool:
    pool, hours = state.pools[booking.pool], (booking.start, booking.end)
    size = pool.size.read(*hours)
    shares = np.zeros((booking.end - booking.start, 1), dtype=np.int64)
    for older in claims(state, booking.pool, booking.order):
        low, high = max(older.start, booking.start), min(older.end, booking.end)
        if low < high:
            shares[low - booking.start : high - booking.start] += older.share
    free = size - taken(state, booking.pool, *hours, until=booking.order) - reserved(size, shares)
    takes = (booking.capacity.vector() > 0) | ((booking.share > 0) & (size > 0))
    return not ((free < 0) & takes).any()


def check_nearest(project: Project, command: Command) -> None:
    """Where it says that a booking would fit, it does; a booking that may be moved there is not refused for room."""
    if not isinstance(command, CreateBooking):
        return
    near = nearest(project.state, "gaia", command, project.context())
    if near is None:
        return
    moved = CreateBooking(
        booking=command.booking, pool=command.pool, account=command.account, period=near, capacity=command.capacity,
        share=command.share,
    )  # fmt: skip
    before = project.state.version
    try:
        project.do(moved)
    except CapacityExceeded:
        pytest.fail(f"{near} does not fit")
    except HourbookError:
        return
    assert project.state.version > before
