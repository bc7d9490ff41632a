"""How each event changes a project's state."""

from __future__ import annotations

from sys import intern
from typing import Literal, assert_never
from uuid import UUID

import msgspec
import numpy as np

from services.command.domain.booking_table import Found
from services.command.domain.floor import floor_of
from services.command.domain.state import (
    OUTCOMES_MAX,
    Account,
    Booking,
    Grant,
    Pool,
    ProjectState,
    Resize,
    ResizeOutcome,
)
from shared.capacity import Capacity, Vector, reserved, reserved_more
from shared.events import (
    AccountClosed,
    AccountCreated,
    AccountLimitsSet,
    AccountMemberAdded,
    AccountMemberRemoved,
    BookingAmended,
    BookingCancelled,
    BookingConfirmed,
    BookingContested,
    BookingCreated,
    BookingLapsed,
    ClusterConfirmed,
    ClusterCreated,
    ClusterResized,
    ClusterResizeFailed,
    ClusterResizeRequested,
    Event,
    GrantCreated,
    GrantWithdrawn,
    ProjectCreated,
    RoleGranted,
    RoleRevoked,
    SeriesCreated,
    TemplateCreated,
    TermBegan,
    beyond_hours,
)
from shared.hours import Period, hour_of
from shared.identity.roles import is_in
from shared.names import spellings
from shared.timeline import WIDTH, Timeline


def evolve(state: ProjectState, event: Event) -> ProjectState:
    """Folds one event into `state`, in place, and returns it. It never refuses: a stored event is a fact."""
    state.version += 1
    match event:
        case BookingCreated():
            _create_booking(state, event)
        case BookingAmended():
            _amend_booking(state, event)
        case BookingCancelled() | BookingLapsed():
            _release(state, event.booking, hour_of(event.start))
        case BookingConfirmed():
            _mark(state, event.booking, tentative=False)
        case BookingContested():
            _mark(state, event.booking, tentative=True)
        case SeriesCreated():
            state.series[event.series] = 0  # its occurrences follow
        case ProjectCreated():
            _create_project(state, event)
        case GrantCreated():
            _create_grant(state, event)
        case GrantWithdrawn():
            _withdraw_grant(state, event)
        case ClusterCreated():
            _create_cluster(state, event)
        case ClusterResized():
            _resize_cluster(state, event)
        case ClusterConfirmed():
            state.touched.add(event.cluster)
            _end_growth(state, state.pools[event.cluster])
        case ClusterResizeRequested():
            period = Period(hour_of(event.start), hour_of(event.end))
            state.requests[event.request] = Resize(event.cluster, period, event.capacity, event.layout)
        case ClusterResizeFailed():
            _close_request(state, event.request, "failed")
        case TemplateCreated():
            state.templates.setdefault(event.template, []).append(event.capacity)
        case AccountCreated():
            state.accounts[event.account] = _account(state, event)
            state.names.add(intern(event.account))
            state.touched.add(event.account)
        case AccountLimitsSet():
            state.accounts[event.account].limits = event.limits
            state.touched.add(event.account)
        case AccountClosed():
            state.accounts[event.account].open = False
            state.touched.add(event.account)
        case AccountMemberAdded():
            state.members[event.account] = state.members.get(event.account, frozenset()) | {event.member}
        case AccountMemberRemoved():
            state.members[event.account] = state.members.get(event.account, frozenset()) - {event.member}
        case RoleGranted():
            _bind(state, event.pool, event.member, state.roles(event.pool, event.member) | {event.role})
        case RoleRevoked():
            _bind(state, event.pool, event.member, state.roles(event.pool, event.member) - {event.role})
        case TermBegan():
            pass  # it belongs to no project
        case _:
            assert_never(event)
    return state


def _timeline(state: ProjectState, *, width: int = WIDTH) -> Timeline:
    return Timeline(width=width, floor=state.floor)


def _bind(state: ProjectState, pool: str, member: str, roles: frozenset[str]) -> None:
    held = {**state.bindings.get(pool, {}), member: roles}
    if not roles:
        del held[member]
    state.bindings[pool] = held


def _unbind(state: ProjectState, cluster: str) -> None:
    """Ends the roles on a cluster and on what is inside it: the next cluster of that name inherits none."""
    for pool in [pool for pool in state.bindings if is_in(pool, cluster)]:
        del state.bindings[pool]


def _create_booking(state: ProjectState, event: BookingCreated) -> None:
    start, end, account = hour_of(event.start), hour_of(event.end), intern(event.account)
    state.names.add(account)
    booking = Booking(
        intern(event.pool), account, start, start, end, event.capacity, event.share, state.version, event.tentative
    )
    state.bookings.add(event.booking, booking)
    _hold_hours(state, event.booking, booking)
    if event.series is not None:
        state.series[event.series] = event.booking.int - event.series.int + 1


def _amend_booking(state: ProjectState, event: BookingAmended) -> None:
    """The booking keeps the hours before `from_start`, and gets new ones from then on."""
    kept = _release(state, event.booking, hour_of(event.from_start))
    start, end = hour_of(event.start), hour_of(event.end)
    began = kept.began if kept.began < kept.end else start
    booking = Booking(
        kept.pool, kept.account, began, start, end, event.capacity, event.share, state.version, event.tentative
    )
    state.bookings.change(event.booking, booking)
    _hold_hours(state, event.booking, booking)


def _create_project(state: ProjectState, event: ProjectCreated) -> None:
    beyond = beyond_hours(event.overcommit)
    state.name = event.name
    state.touched.add(event.project)
    state.pools[event.project] = Pool(None, None, _timeline(state), _timeline(state), beyond_hours=beyond)
    state.overcommits = beyond is not None


def _create_grant(state: ProjectState, event: GrantCreated) -> None:
    grant = Grant(event.project, hour_of(event.start), hour_of(event.end), event.capacity)
    state.grants[event.grant] = grant
    state.touched.add(grant.pool)
    _offer(state, state.pools[grant.pool], grant.start, grant.end, grant.capacity.vector())


def _withdraw_grant(state: ProjectState, event: GrantWithdrawn) -> None:
    start, end = hour_of(event.start), hour_of(event.end)
    state.grants[event.grant] = msgspec.structs.replace(state.grants[event.grant], end=start, gone=True)
    state.touched.add(event.project)
    _offer(state, state.pools[event.project], start, end, -event.capacity.vector())


def _offer(state: ProjectState, pool: Pool, start: int, end: int, amount: Vector) -> None:
    """Adds `amount` to the pool's size: one vector for all hours, or one for each. The shares reserve their part."""
    gained = amount
    if pool.shares.any():
        size, shares = pool.size.read(start, end), pool.shares.read(start, end)
        gained = amount - (reserved(size + amount, shares) - reserved(size, shares))
    state.timeline_bytes += pool.size.add(start, end, amount) + pool.free.add(start, end, gained)


def _take(state: ProjectState, pool_id: str, start: int, end: int, capacity: Capacity, share: int, sign: int) -> None:
    """Takes counts or a share off what is free (`sign` +1), or gives them back (-1)."""
    pool = state.pools[pool_id]
    state.touched.add(pool_id)
    if share:
        size, shares = pool.size.read(start, end), pool.shares.read(start, end)
        grown = pool.free.add(start, end, -reserved_more(size, shares, sign * share))
        grown += pool.shares.add(start, end, sign * share)
    else:
        grown = pool.free.add(start, end, capacity.vector() * -sign)
    state.timeline_bytes += grown


def _hold_hours(state: ProjectState, booking_id: UUID, booking: Booking) -> None:
    _take(state, booking.pool, booking.start, booking.end, booking.capacity, booking.share, +1)
    if state.accounts:
        _hold(state, booking, booking.start, booking.end, +1)
    if booking.tentative:
        state.tentative[booking_id] = None


def _close_request(state: ProjectState, request: UUID, outcome: Literal["applied", "failed"]) -> None:
    """A requested resize was applied or failed. The newest outcomes stay known, so that a second apply or fail of the
    same request changes nothing."""
    if (resize := state.requests.pop(request, None)) is None:
        return
    outcomes = state.resize_outcomes
    outcomes[request] = ResizeOutcome(resize.cluster, outcome)
    if len(outcomes) > OUTCOMES_MAX and isinstance(outcomes, dict):  # a fork is short-lived, and forgets nothing
        del outcomes[next(iter(outcomes))]


def _release(state: ProjectState, booking_id: UUID, start: int) -> Booking:
    """Ends the booking at the hour `start`. It stays known, so that a second cancel changes nothing."""
    booking = state.bookings[booking_id]
    _take(state, booking.pool, start, booking.end, booking.capacity, booking.share, -1)
    if state.accounts:
        _hold(state, booking, start, booking.end, -1)
    state.tentative.pop(booking_id, None)
    cut = msgspec.structs.replace(booking, end=start, tentative=False, gone=True)
    state.bookings.change(booking_id, cut)
    return cut


def _mark(state: ProjectState, booking_id: UUID, *, tentative: bool) -> None:
    booking = state.bookings[booking_id]
    state.bookings.change(booking_id, msgspec.structs.replace(booking, tentative=tentative))
    if tentative:
        state.tentative[booking_id] = None
    else:
        state.tentative.pop(booking_id, None)


def _hold(state: ProjectState, booking: Booking, start: int, end: int, sign: int) -> None:
    name = state.listed(booking.account)
    if name is None:
        return
    account = state.accounts[name]
    state.touched.add(name)
    held = account.held
    hours = held.end - held.base
    if not booking.share:
        state.timeline_bytes += held.add(start, end, booking.capacity.vector() * sign)
    else:
        timeline = account.shares.setdefault(booking.pool, _timeline(state, width=1))
        hours += timeline.hours
        size, shares = state.pools[booking.pool].size.read(start, end), timeline.read(start, end)
        change = sign * booking.share
        grown = held.add(start, end, reserved_more(size, shares, change)) + timeline.add(start, end, change)
        state.timeline_bytes += grown
        hours -= timeline.hours
    state.account_hours += held.end - held.base - hours


def _account(state: ProjectState, event: AccountCreated) -> Account:
    """The account with what it holds already: it may have booked before the project listed it."""
    account, hours = Account(event.limits, True, _timeline(state), {}), state.account_hours
    state.accounts[event.account] = account
    names = spellings(event.account)
    if state.names.isdisjoint(names):
        return account
    shared: list[Found] = []
    for found in state.bookings.packed().blocks(lambda block: block.of_accounts(names) & block.live()):
        counts, shares = found.split(found.column("share") == 0)
        state.timeline_bytes += counts.hold(account.held)
        shared.append(shares)
    for booking in (one for found in shared for one in found.bookings()):
        _hold(state, booking, booking.start, booking.end, +1)
    for timeline in account.timelines():  # what it booked long ago does not count for the bounds
        timeline.base = min(timeline.end, max(timeline.base, floor_of(event.at)))
    state.account_hours = hours + account.hours()
    return account


def _create_cluster(state: ProjectState, event: ClusterCreated) -> None:
    start, end, size = hour_of(event.start), hour_of(event.end), event.capacity.vector()
    parent = state.pools[event.parent]
    beyond = parent.beyond_hours if event.overcommit is None else beyond_hours(event.overcommit)
    pool = Pool(
        event.parent,
        Period(start, end),
        _timeline(state),
        _timeline(state),
        _timeline(state, width=1),
        beyond_hours=beyond,
        layout=event.layout,
        order=state.version,
        born=state.version,
    )
    if (before := state.pools.get(event.cluster)) is not None:
        state.cluster_hours += before.size.grown_by(start, end)
        pool.size, pool.free, pool.shares = before.size.fork(), before.free.fork(), before.shares.fork()
        _end_growth(state, before)
        _close_within(state, event.cluster, start)
        _unbind(state, event.cluster)
    else:
        state.cluster_hours += end - start
    state.pools[event.cluster] = pool
    state.touched |= {event.cluster, event.parent}
    state.overcommits = state.overcommits or beyond is not None
    _offer(state, pool, start, end, size)
    state.timeline_bytes += parent.free.add(start, end, -size)
    if event.tentative:
        pool.growth = _timeline(state)
        state.timeline_bytes += pool.growth.add(start, end, size)


def _close_within(state: ProjectState, cluster: str, hour: int) -> None:
    """Ends the clusters inside `cluster` at `hour`, where the next cluster of that name begins."""
    for pool_id, pool in state.pools.items():
        if pool_id.startswith(f"{cluster}.") and pool.period is not None:
            period = Period(min(pool.period.start, hour), min(pool.period.end, hour))
            state.pools[pool_id] = msgspec.structs.replace(pool, period=period)
            state.touched.add(pool_id)


def _resize_cluster(state: ProjectState, event: ClusterResized) -> None:
    pool = state.pools[event.cluster]
    assert pool.parent is not None
    start, end = hour_of(event.start), hour_of(event.end)
    size = pool.size.read(start, end)
    growth = event.capacity.vector() - size
    resize_held(state, event.cluster, Period(start, end), growth)
    state.touched |= {event.cluster, pool.parent}
    _offer(state, pool, start, end, growth)
    state.timeline_bytes += state.pools[pool.parent].free.add(start, end, -growth)
    pool.layout = event.layout or pool.layout
    if event.request is not None:
        _close_request(state, event.request, "applied")
    if (growth > 0).any():
        pool.order = state.version
    _grow(state, pool, start, end, growth, event)


def resize_held(state: ProjectState, cluster: str, period: Period, growth: Vector) -> None:
    """Changes what each account holds by its shares of a cluster, whose size will change by `growth`: a vector for all
    hours, or one for each."""
    size = state.pools[cluster].size.read(*period)
    growth = np.broadcast_to(growth, size.shape)
    for name, account in state.accounts.items():
        if cluster in account.shares:
            account = state.accounts[name]
            state.touched.add(name)
            hours = account.held.hours
            state.timeline_bytes += _resize_shares(account, cluster, period, size, growth)
            state.account_hours += account.held.hours - hours


def _resize_shares(account: Account, cluster: str, period: Period, size: Vector, growth: Vector) -> int:
    """Changes what the account holds by its shares of a cluster, whose size changes by `growth`. Returns what `add`
    returns."""
    shares = account.shares[cluster]
    low, high = max(period.start, shares.base), min(period.end, shares.end)
    if low >= high:
        return 0
    hours, held = slice(low - period.start, high - period.start), shares.read(low, high)
    return account.held.add(low, high, reserved((size + growth)[hours], held) - reserved(size[hours], held))


def _grow(state: ProjectState, pool: Pool, start: int, end: int, growth: Vector, event: ClusterResized) -> None:
    """Updates what the pool holds tentatively of its parent. A tentative growth adds to it; what the pool gives back is
    taken off."""
    if event.tentative:
        pool.growth = pool.growth or _timeline(state)
    if pool.growth is None:
        return
    held = pool.growth.read(start, end)
    grown = np.maximum(held + (growth if event.tentative else np.minimum(growth, 0)), 0)
    state.timeline_bytes += pool.growth.write(start, end, grown)
    if pool.growth.last_hour() <= floor_of(event.at):  # what it held long ago is held no more
        _end_growth(state, pool)


def _end_growth(state: ProjectState, pool: Pool) -> None:
    if pool.growth is not None:
        state.timeline_bytes -= pool.growth.held
        pool.growth = None
