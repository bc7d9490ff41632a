"""Each command sent twice: the second is accepted and decides nothing."""

from typing import Any, get_args
from uuid import UUID, uuid4

import pytest

from services.command.domain import (
    AddAccountMember,
    AmendBooking,
    AmendSeries,
    ApplyResize,
    AskLease,
    CancelBooking,
    CancelSeries,
    CloseAccount,
    Command,
    CreateAccount,
    CreateBooking,
    CreateCluster,
    CreateExclusive,
    CreateGrant,
    CreateProject,
    CreateSeries,
    CreateTemplate,
    EndLease,
    FailResize,
    GrantRole,
    LeaseAmount,
    RemoveAccountMember,
    RequestResize,
    RequireRole,
    ResizeCluster,
    RevokeRole,
    SetLimits,
    SettleConflicts,
    WithdrawGrant,
)
from shared.capacity import Capacity
from shared.errors import AlreadyExists, NoLongerHeld, PastIsImmutable
from shared.events import Limits
from shared.hours import Period, instant_of
from tests.support.project import T0, Project, cores

DAY = Period(T0 + 24, T0 + 48)
ANOTHER = "another is made"  # a client that wants only one sends an Idempotency-Key
NOTHING_NEW = "nothing is decided"
CANCELLED, AMENDED, WITHDRAWN, APPLIED, FAILED, SERIES = (UUID(int=100 * number) for number in range(1, 7))


def booking(**asked: Any) -> CreateBooking:
    return CreateBooking(booking=uuid4(), pool="gaia", account="ada", period=DAY, capacity=cores(1), **asked)


TWICE: dict[Any, tuple[Command, Any]] = {
    CreateProject: (CreateProject(project="gaia", name="Gaia"), AlreadyExists),
    CreateGrant: (CreateGrant(grant=uuid4(), period=DAY, capacity=cores(1)), ANOTHER),
    WithdrawGrant: (WithdrawGrant(grant=WITHDRAWN), NOTHING_NEW),
    CreateCluster: (
        CreateCluster(cluster="gaia.new", parent="gaia", kind="x", period=DAY, capacity=cores(1)),
        AlreadyExists,
    ),
    ResizeCluster: (ResizeCluster(cluster="gaia.k", capacity=cores(3)), NOTHING_NEW),
    RequestResize: (RequestResize(request=uuid4(), resize=ResizeCluster(cluster="gaia.k", capacity=cores(4))), ANOTHER),
    ApplyResize: (ApplyResize(cluster="gaia.k", request=APPLIED), NOTHING_NEW),
    FailResize: (FailResize(cluster="gaia.k", request=FAILED, error="no host"), NOTHING_NEW),
    CreateTemplate: (CreateTemplate(template="small", capacity=cores(1)), NOTHING_NEW),
    CreateAccount: (CreateAccount(account="eve", name="Eve"), AlreadyExists),
    SetLimits: (SetLimits(account="ada", limits=Limits(ahead_hours=9000)), NOTHING_NEW),
    CloseAccount: (CloseAccount(account="bob"), NOTHING_NEW),
    AddAccountMember: (AddAccountMember(account="ada", member="egi:eve"), NOTHING_NEW),
    RemoveAccountMember: (RemoveAccountMember(account="bob", member="egi:bob"), NOTHING_NEW),
    GrantRole: (GrantRole(pool="gaia.k", role="reader", member="egi:eve"), NOTHING_NEW),
    RequireRole: (RequireRole(pool="gaia", role="viewer"), NOTHING_NEW),
    RevokeRole: (RevokeRole(pool="gaia", role="reader", member="egi:bob"), NOTHING_NEW),
    CreateBooking: (booking(), ANOTHER),
    CreateExclusive: (
        CreateExclusive(
            booking=uuid4(), cluster="gaia.mine", parent="gaia", account="ada", period=DAY, capacity=cores(1)
        ),
        AlreadyExists,
    ),
    CreateSeries: (
        CreateSeries(booking=booking(), periods=(DAY,), rrule="FREQ=DAILY;COUNT=1", timezone="UTC"),
        ANOTHER,
    ),
    AmendSeries: (AmendSeries(series=SERIES, counts={"cores": 2}), NOTHING_NEW),
    CancelSeries: (CancelSeries(series=SERIES), NOTHING_NEW),
    AmendBooking: (AmendBooking(booking=AMENDED, end=T0 + 30, counts={"cores": 2}), NOTHING_NEW),
    CancelBooking: (CancelBooking(booking=CANCELLED), NOTHING_NEW),
    SettleConflicts: (SettleConflicts(), NOTHING_NEW),
    AskLease: (
        AskLease(
            pool="gaia",
            openstack_project="ada",
            period=DAY,
            amount=LeaseAmount(capacity=cores(2)),
            booking=uuid4(),
            booked=CANCELLED,
        ),
        NOTHING_NEW,
    ),
    EndLease: (EndLease(pool="gaia", openstack_project="ada", booked=CANCELLED), NOTHING_NEW),
}


@pytest.fixture
def gaia() -> Project:
    """100 cores from T0 on; a grant, bookings from T0 on, and requested resizes."""
    gaia = Project()
    gaia.grant(0, 1000, 100)
    gaia.do(CreateGrant(grant=WITHDRAWN, period=Period(T0, T0 + 50), capacity=cores(5)))
    gaia.cluster("gaia.k", 0, 100, 2)
    for account in ("ada", "bob"):
        gaia.do(CreateAccount(account=account, name=account))
    gaia.do(AddAccountMember(account="bob", member="egi:bob"))
    gaia.do(GrantRole(pool="gaia", role="reader", member="egi:bob"))
    for one in (CANCELLED, AMENDED):
        period = Period(T0, T0 + 50)
        gaia.do(CreateBooking(booking=one, pool="gaia", account="ada", period=period, capacity=cores(1)))
    first = CreateBooking(booking=SERIES, pool="gaia", account="ada", period=DAY, capacity=cores(1))
    periods = (DAY, Period(T0 + 48, T0 + 72))
    gaia.do(CreateSeries(booking=first, periods=periods, rrule="FREQ=DAILY;COUNT=2", timezone="UTC"))
    for request in (APPLIED, FAILED):
        resize = ResizeCluster(cluster="gaia.k", capacity=cores(4))
        gaia.do(RequestResize(request=request, resize=resize))
    return gaia


@pytest.mark.parametrize("kind", get_args(Command))
@pytest.mark.parametrize("hours", [0, 2], ids=["at once", "when hours have passed"])
def test_every_command_that_is_sent_twice(gaia: Project, kind: Any, hours: int) -> None:
    command, second = TWICE[kind]
    gaia.at(10)
    if kind is not CreateProject:
        assert gaia.do(command) or kind in (SettleConflicts, RequireRole)
    gaia.at(10 + hours)
    if isinstance(second, type):
        with pytest.raises(second):
            gaia.do(command)
    else:
        assert bool(gaia.do(command)) == (second == ANOTHER)


@pytest.mark.parametrize("cancelled_at", [-5, 4, 9], ids=["before it begins", "while it runs", "in its last hours"])
@pytest.mark.parametrize("again_at", [1, 400], ids=["before its end", "years later"])
def test_a_cancelled_booking_is_cancelled_whenever_it_is_said_again(cancelled_at: int, again_at: int) -> None:
    gaia = Project()
    gaia.grant(0, 20, 4)
    one = gaia.book(0, 12, 3)
    gaia.at(cancelled_at)
    assert len(gaia.do(CancelBooking(booking=one))) == 1
    free = gaia.free(0, 20)
    gaia.at(cancelled_at + again_at)
    assert gaia.do(CancelBooking(booking=one)) == []
    assert gaia.free(0, 20) == free
    with pytest.raises(NoLongerHeld, match="was cancelled"):
        gaia.amend(one, end=20)


def test_what_has_ended_by_itself_cannot_be_cancelled_nor_withdrawn(gaia: Project) -> None:
    gaia.at(50)
    with pytest.raises(PastIsImmutable, match="ended at 2086-01-03T02:00:00Z"):
        gaia.do(CancelBooking(booking=CANCELLED))
    with pytest.raises(PastIsImmutable, match="ended at 2086-01-03T02:00:00Z"):
        gaia.do(WithdrawGrant(grant=WITHDRAWN))


def test_what_ends_with_the_hour_that_has_begun_has_nothing_left_to_cancel_and_is_not_called_over(
    gaia: Project,
) -> None:
    gaia.now = instant_of(T0 + 49).replace(minute=30)
    assert gaia.do(CancelBooking(booking=CANCELLED)) == []
    assert gaia.do(WithdrawGrant(grant=WITHDRAWN)) == []
    with pytest.raises(PastIsImmutable, match=r"ends at .*, with the hour that has begun"):
        gaia.amend(AMENDED, counts={"cores": 3})
    gaia.now = instant_of(T0 + 99).replace(minute=30)
    with pytest.raises(PastIsImmutable, match="ends with the hour that has begun"):
        gaia.do(ResizeCluster(cluster="gaia.k", capacity=cores(1)))


def test_a_resize_that_is_so_is_so_in_hours_gone_by_too(gaia: Project) -> None:
    gaia.do(ResizeCluster(cluster="gaia.k", capacity=cores(7), start=T0 + 5, end=T0 + 20))
    gaia.at(12)
    assert gaia.do(ResizeCluster(cluster="gaia.k", capacity=cores(7), start=T0 + 5, end=T0 + 20)) == []
    with pytest.raises(PastIsImmutable, match="startdate"):
        gaia.do(ResizeCluster(cluster="gaia.k", capacity=cores(8), start=T0 + 5, end=T0 + 20))


def test_a_requested_resize_comes_to_one_thing(gaia: Project) -> None:
    gaia.do(ApplyResize(cluster="gaia.k", request=APPLIED))
    gaia.do(FailResize(cluster="gaia.k", request=FAILED, error="no host"))
    with pytest.raises(NoLongerHeld, match="was applied"):
        gaia.do(FailResize(cluster="gaia.k", request=APPLIED, error="no host"))
    with pytest.raises(NoLongerHeld, match="has failed"):
        gaia.do(ApplyResize(cluster="gaia.k", request=FAILED))
    gaia.do(ResizeCluster(cluster="gaia.k", capacity=Capacity(cores=2)))
    assert gaia.do(ApplyResize(cluster="gaia.k", request=APPLIED)) == [], "it undoes no later resize"


def test_a_lapsed_booking_is_gone_as_one_that_was_cancelled() -> None:
    gaia = Project(beyond_hours=10)
    gaia.grant(0, 100, 2)
    gaia.book(50, 60, 2)
    late = gaia.book(50, 60, 1)
    assert gaia.tentative(late)
    gaia.at(45)
    gaia.do(SettleConflicts())
    assert gaia.do(CancelBooking(booking=late)) == []
    with pytest.raises(NoLongerHeld, match="has lapsed"):
        gaia.amend(late, end=61)
