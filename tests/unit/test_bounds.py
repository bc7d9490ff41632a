"""Limits of one project and of one command. At the limit a command is accepted, beyond it refused with the numbers. A
command that gives back is never refused."""

from __future__ import annotations

import contextlib
from uuid import UUID, uuid4

import pytest

from services.command.domain import (
    AmendBooking,
    AmendSeries,
    CancelBooking,
    CancelSeries,
    Command,
    CreateAccount,
    CreateBooking,
    CreateCluster,
    CreateExclusive,
    CreateGrant,
    CreateSeries,
    CreateTemplate,
    LayoutChange,
    ProjectState,
    RequestResize,
    ResizeCluster,
    SettleConflicts,
    TemplateCount,
    WithdrawGrant,
    decide,
    evolve,
)
from services.command.domain.bounds import GROUP_BYTES, SMALL_BYTES, Bounds
from services.command.domain.state import Resize
from services.command.handler.sizes import size_of
from services.command.settings import Settings
from shared.capacity import Capacity
from shared.errors import InvalidField, ProjectLimitExceeded, TooMuchAtOnce
from shared.events import BookingAmended, BookingContested, BookingLapsed, Layout, Limits, NodeGroup
from shared.hours import PERIOD_HOURS_MAX, Period
from shared.settings import settings_from
from tests.support.project import T0, Project, cores

YEAR = 365 * 24


def refused(project: Project, command: Command, limit: str, asked: int) -> None:
    with pytest.raises(ProjectLimitExceeded) as refusal:
        project.do(command)
    allowed = getattr(project.bounds, limit)
    facts = {"limit": limit, "asked": asked, "allowed": allowed, "setting": f"HOURBOOK_{limit.upper()}_MAX"}
    assert refusal.value.facts == facts
    assert str(asked) in refusal.value.detail
    assert str(allowed) in refusal.value.detail


def cluster(name: str, hours: int = 10, parent: str = "gaia") -> CreateCluster:
    return CreateCluster(
        cluster=f"{parent}.{name}", parent=parent, kind="x", period=Period(T0, T0 + hours), capacity=cores(1)
    )


def booking(start: int = 0, end: int = 1, count: int = 1, pool: str = "gaia", account: str = "ada") -> CreateBooking:
    period = Period(T0 + start, T0 + end)
    return CreateBooking(booking=uuid4(), pool=pool, account=account, period=period, capacity=cores(count))


def series(count: int, hours: int, every: int = 24) -> CreateSeries:
    periods = tuple(Period(T0 + every * number, T0 + every * number + hours) for number in range(count))
    first = CreateBooking(booking=uuid4(), pool="gaia", account="ada", period=periods[0], capacity=cores(1))
    return CreateSeries(booking=first, periods=periods, rrule="FREQ=DAILY", timezone="UTC")


def project(beyond_hours: int | None = None, **bounds: int) -> Project:
    made = Project(beyond_hours)
    made.grant(0, YEAR, 100)
    made.bounds = Bounds(**bounds)
    return made


def test_every_command_that_makes_a_pool_counts_towards_the_same_bound() -> None:
    gaia = project(pools=3)
    gaia.do(CreateGrant(grant=uuid4(), period=Period(T0, T0 + 10), capacity=Capacity(servers=9)))
    gaia.do(CreateTemplate(template="t", capacity=cores(1)))
    gaia.do(cluster("one"))
    gaia.do(cluster("two", parent="gaia.one"))
    layout = LayoutChange(masterflavor="t", mastercount=1, workerflavor="t", workercount=1)
    magnum = CreateCluster(cluster="gaia.m", parent="gaia", kind="magnum", period=Period(T0, T0 + 1), layout=layout)
    exclusive = CreateExclusive(
        booking=uuid4(), cluster="gaia.x", parent="gaia", account="ada", period=Period(T0, T0 + 1), capacity=cores(1)
    )
    for command in (cluster("three"), magnum, exclusive):
        refused(gaia, command, "pools", 4)


def test_pool_hours_are_the_clusters_periods_and_the_projects_own_span() -> None:
    gaia = project(pool_hours=YEAR + 100)
    gaia.do(cluster("one", 60))
    refused(gaia, cluster("two", 41), "pool_hours", YEAR + 101)
    gaia.do(cluster("two", 40))
    gaia.do(CreateGrant(grant=uuid4(), period=Period(T0, T0 + YEAR), capacity=cores(1)))


def test_two_grants_far_apart_are_the_hours_between_them() -> None:
    gaia = project(pool_hours=YEAR * 20)
    grant = CreateGrant(grant=uuid4(), period=Period(T0 + 40 * YEAR, T0 + 40 * YEAR + 1), capacity=cores(1))
    with pytest.raises(ProjectLimitExceeded, match="hours in its calendars"):
        gaia.do(grant)
    late = booking(30 * YEAR, 30 * YEAR + 1)
    over = project(beyond_hours=10, pool_hours=YEAR * 20)
    with pytest.raises(ProjectLimitExceeded, match="hours in its calendars"):
        over.do(late)


def test_accounts_are_counted_by_name_whether_they_are_listed_or_not() -> None:
    gaia = project(accounts=2)
    gaia.do(booking(account="ada"))
    gaia.do(booking(account="grace"))
    gaia.do(booking(account="ada"))
    refused(gaia, booking(account="alan"), "accounts", 3)
    refused(gaia, CreateAccount(account="alan", name="Alan", limits=Limits()), "accounts", 3)
    gaia.do(CreateAccount(account="ada", name="Ada", limits=Limits()))


def test_a_listed_accounts_hours_are_bounded_however_they_come() -> None:
    gaia = project(account_hours=1000)
    gaia.do(booking(0, 400))
    gaia.do(booking(1000, 1001))
    refused(gaia, CreateAccount(account="ada", name="Ada", limits=Limits()), "account_hours", 1001)
    gaia.do(CreateAccount(account="grace", name="Grace", limits=Limits()))
    gaia.do(booking(0, 1000, account="grace"))
    with pytest.raises(ProjectLimitExceeded, match="accounts' calendars"):
        gaia.do(booking(1000, 1001, account="grace"))


def test_a_recurring_booking_counts_the_hours_between_its_occurrences_once() -> None:
    gaia = project(account_hours=5000)
    gaia.do(CreateAccount(account="ada", name="Ada", limits=Limits()))
    gaia.do(series(200, 2))
    assert len(gaia.state.bookings) == 200


@pytest.mark.parametrize(
    ("limit", "made"),
    [
        ("grants", lambda: CreateGrant(grant=uuid4(), period=Period(T0, T0 + 1), capacity=cores(1))),
        ("bookings", booking),
        ("templates", lambda: CreateTemplate(template="t", capacity=cores(uuid4().int % 10**9 + 1))),
        ("resizes", lambda: RequestResize(request=uuid4(), resize=ResizeCluster(cluster="gaia.c", capacity=cores(1)))),
    ],
)
def test_all_that_a_project_keeps_is_bounded(limit: str, made: object) -> None:
    gaia = project(**{limit: 3})
    gaia.do(cluster("c"))
    have = {"grants": 1}.get(limit, 0)
    for _ in range(3 - have):
        gaia.do(made())  # type: ignore[operator]
    refused(gaia, made(), limit, 4)  # type: ignore[operator]


def test_a_series_is_bounded_by_the_bookings_too() -> None:
    gaia = project(bookings=5)
    refused(gaia, series(6, 1), "bookings", 6)
    gaia.do(series(5, 1))


def test_the_memory_of_a_project_is_bounded() -> None:
    gaia = project(state_bytes=750_000)
    for number in range(20):  # a year of one size is a few steps
        gaia.do(cluster(f"c{number}", YEAR))
    with contextlib.suppress(ProjectLimitExceeded):
        for _ in range(10):
            gaia.do(series(500, 2, every=17))
    assert 400_000 < gaia.state.timeline_bytes < 600_000
    with pytest.raises(ProjectLimitExceeded, match="HOURBOOK_STATE_BYTES_MAX"):
        gaia.book(0, 1, 1)


def test_the_memory_of_a_state_counts_roles_and_members() -> None:
    bindings = {"gaia": {f"egi:{number}": frozenset({"reader"}) for number in range(70)}}
    state = ProjectState(bindings=bindings, members={"ada": frozenset(f"egi:{number}" for number in range(30))})
    assert size_of(state) - size_of(ProjectState()) == 100 * SMALL_BYTES


def test_the_memory_of_a_state_counts_the_groups_of_nodes() -> None:
    groups = tuple(NodeGroup(name=f"g{number}", role="worker", count=1, size=Capacity(cores=1)) for number in range(50))
    layout = Layout(masterflavor="", mastercount=0, workerflavor="", workercount=0, groups=groups)
    plain, grouped = (
        ProjectState(requests={uuid4(): Resize("gaia.k", Period(0, 1), Capacity(cores=1), one)})
        for one in (None, layout)
    )
    assert size_of(grouped) - size_of(plain) == 50 * GROUP_BYTES


def test_tentative_claims_and_their_hours_are_bounded() -> None:
    gaia = project(beyond_hours=10, tentative=2, tentative_hours=100)
    gaia.do(booking(100, 110, 101))
    refused(gaia, booking(100, 191, 101), "tentative_hours", 101)
    first = booking(100, 190, 101)
    gaia.do(first)
    refused(gaia, booking(200, 201, 101), "tentative", 3)
    gaia.do(CancelBooking(booking=first.booking))
    gaia.do(booking(200, 201, 101))


def test_what_is_beyond_a_bound_already_loads_and_gives_back() -> None:
    gaia = project(beyond_hours=10)
    held = gaia.book(100, 200, 90)
    late = gaia.book(100, 200, 90)
    gaia.do(cluster("c", 200))
    gaia.bounds = Bounds(**dict.fromkeys(Bounds.__struct_fields__, 1))
    assert gaia.tentative(late)
    gaia.amend(late, end=150)
    gaia.amend(held, counts={"cores": 80})
    gaia.do(ResizeCluster(cluster="gaia.c", capacity=cores(0)))
    gaia.do(CancelBooking(booking=held))
    assert not gaia.tentative(late)
    with pytest.raises(ProjectLimitExceeded):
        gaia.book(0, 1, 1)


def test_a_recurring_booking_of_too_many_hours_is_refused_before_it_is_looked_at() -> None:
    gaia = project(series_hours=100)
    gaia.do(series(10, 10))
    with pytest.raises(InvalidField, match=r"rrule: its 10 occurrences are 110 hours together, .* 100 at most"):
        gaia.do(series(10, 11))
    with pytest.raises(InvalidField, match="43836000 hours"):
        project().do(series(500, PERIOD_HOURS_MAX))


def test_a_series_that_has_come_to_be_too_long_is_changed_in_steps() -> None:
    gaia = project(series_hours=100)
    command = series(5, 20)
    gaia.do(command)
    series_id = command.booking.booking
    fifth = UUID(int=series_id.int + 4)
    gaia.amend(fifth, end=200)
    for change in (AmendSeries(series=series_id, counts={"cores": 2}), CancelSeries(series=series_id)):
        with pytest.raises(TooMuchAtOnce, match="184 hours together"):
            gaia.do(change)
    gaia.do(CancelBooking(booking=fifth))
    assert len(gaia.do(CancelSeries(series=series_id))) == 4


def test_the_largest_commands_of_a_real_platform_are_within_the_bounds() -> None:
    gaia, ten_years = Project(), Period(T0, T0 + PERIOD_HOURS_MAX)
    commands = (
        CreateGrant(grant=uuid4(), period=ten_years, capacity=cores(10)),
        series(500, 24),
        series(500, 168, every=168),
        booking(0, PERIOD_HOURS_MAX),
        cluster("spark", PERIOD_HOURS_MAX),
    )
    for command in commands:
        events = decide(gaia.state, "gaia", command, gaia.context())
        assert events
        for event in events:
            evolve(gaia.state, event)


def test_capacity_is_not_taken_from_under_more_bookings_than_one_command_may_look_at() -> None:
    gaia = project(beyond_hours=10, reviewed=3)
    (grant,) = gaia.state.grants
    for start in range(100, 103):
        gaia.book(start, start + 1, 1)
    fourth = gaia.book(200, 201, 1)
    with pytest.raises(TooMuchAtOnce, match="too many bookings") as refusal:
        gaia.do(WithdrawGrant(grant=grant))
    assert refusal.value.facts == {"pool": "gaia", "allowed": 3}
    gaia.do(CancelBooking(booking=fourth))
    contested = gaia.do(WithdrawGrant(grant=grant))
    assert sum(isinstance(event, BookingContested) for event in contested) == 3


def test_a_booking_is_amended_beside_more_bookings_than_one_command_may_look_at() -> None:
    gaia = project(beyond_hours=10, reviewed=3)
    bookings = [gaia.book(100, 101, 25) for _ in range(4)]
    (amended,) = gaia.do(AmendBooking(booking=bookings[0], counts={"cores": 26}))
    assert isinstance(amended, BookingAmended)
    assert [gaia.tentative(booking) for booking in bookings] == [True, False, False, False]


def test_what_time_brings_is_never_too_much() -> None:
    gaia = project(beyond_hours=10)
    bookings = [gaia.book(100, 110, 60) for _ in range(4)]
    gaia.bounds = Bounds(**dict.fromkeys(Bounds.__struct_fields__, 1))
    gaia.at(95)
    events = gaia.do(SettleConflicts())
    assert [event.booking for event in events if isinstance(event, BookingLapsed)] == bookings[:0:-1]


def test_an_error_names_a_few_templates_only() -> None:
    gaia = project()
    for number in range(30):
        gaia.do(CreateTemplate(template=f"t{number:02d}", capacity=cores(1)))
    with pytest.raises(InvalidField, match=r"t00, .*t19 and 10 others$"):
        gaia.do(booking_of_template("unknown"))


def booking_of_template(name: str) -> CreateBooking:
    return CreateBooking(
        booking=UUID(int=1), pool="gaia", account="ada", period=Period(T0, T0 + 1), template=TemplateCount(name=name)
    )


def test_every_bound_has_a_setting() -> None:
    fields = Bounds.__struct_fields__
    environment = {f"HOURBOOK_{name.upper()}_MAX": str(number + 1) for number, name in enumerate(fields)}
    settings = settings_from(environment | {"HOURBOOK_DATABASE_URL": "x"}, Settings)
    assert settings.bounds() == Bounds(**{name: number + 1 for number, name in enumerate(fields)})
