"""Invariants that hold in every hour and every pool, after each command of long random histories."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from services.command.domain import Command, CreateBooking, SettleConflicts, nearest
from services.command.domain.capacity_check import horizon_of
from services.command.domain.state import Booking, ProjectState
from services.command.handler.snapshots import decode_state, encode_state
from shared.capacity import Vector, reserved
from shared.errors import CapacityExceeded, HourbookError
from shared.events import EVENT_TYPES, Event, TermBegan
from shared.hours import next_hour
from tests.support.histories import random_command
from tests.support.project import T0, Project, frozen

LAST = 500
STEPS = 400


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
    decided = set(EVENT_TYPES) - {TermBegan}  # no command makes it
    for seed in range(30):
        *_, (project, _, _) = history(seed)
        made |= {type(event) for event in project.history}
        if made == decided:
            break
    assert made == decided


def history(seed: int) -> Iterator[tuple[Project, Command, HourbookError | None]]:
    """The project after each command, and the refusal if the command was refused."""
    chance, now = random.Random(seed), 0
    project = Project(beyond_hours=chance.choice([None, 1, 40]))
    for _ in range(STEPS):
        if chance.random() < 0.06:
            now += chance.choice([1, 1, 5, 20])
            project.at(now)
            project.do(SettleConflicts())
        command = random_command(chance, chance, project.state, "gaia", T0 + now)
        if command is None:
            continue
        refusal = None
        try:
            project.do(command)
        except HourbookError as refused:
            refusal = refused
        yield project, command, refusal


def check(project: Project) -> None:
    """Checks the hours from now on. The state has no earlier hours."""
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
    holders = (*project.state.pools.values(), *project.state.accounts.values())
    held = sum(timeline.held for holder in holders for timeline in holder.timelines())
    assert project.state.timeline_bytes == held
    assert project.state.account_hours == sum(account.hours() for account in project.state.accounts.values())


def taken(state: ProjectState, pool_id: str, start: int, end: int, *, until: int | None = None) -> Vector:
    """The counts of the pool's bookings (up to an order) and the sizes of its clusters, by the hour."""
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
    """A booking fits where the domain says that it does. There, no booking is refused for capacity."""
    if not isinstance(command, CreateBooking):
        return
    near = nearest(project.state, "gaia", command, project.context())
    if near is None:
        return
    moved = CreateBooking(
        booking=command.booking,
        pool=command.pool,
        account=command.account,
        period=near,
        capacity=command.capacity,
        share=command.share,
    )
    before = project.state.version
    try:
        project.do(moved)
    except CapacityExceeded:
        pytest.fail(f"{near} does not fit")
    except HourbookError:
        return
    assert project.state.version > before
