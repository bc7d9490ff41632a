"""Two specimens of every event type: one with all fields, one with the required fields only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shared.capacity import Capacity
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
    FromTemplate,
    GrantCreated,
    GrantWithdrawn,
    Layout,
    Limits,
    NodeGroup,
    Overcommit,
    ProjectCreated,
    RoleGranted,
    RoleRevoked,
    SeriesCreated,
    Skipped,
    TemplateCreated,
    TermBegan,
)

START, END = datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 2, 5, tzinfo=UTC)
ONE, TWO = UUID("01890a5d-ac96-774b-bcce-b302099a8057"), UUID("01890a5d-ac96-774b-bcce-b302099a8058")
SOME = Capacity(cores=4, memory=8192)
ALL = Capacity(servers=1, cores=2, memory=3, tempdisc=4, userdisc=5, datadisc=6)

BARE: dict[str, Any] = {
    "at": datetime(2029, 12, 31, 23, 59, 58, 123456, tzinfo=UTC),
    "actor": "ada",
    "command": TWO,
    "project": "gaia",
}
FULL: dict[str, Any] = BARE | {"actor": 'Ada ☃ "Lovelace"\n', "reason": "the survey needs it", "auth": "oidc"}
PERIOD: dict[str, Any] = {"start": START, "end": END}

LAYOUT = Layout(masterflavor="m1.large", mastercount=1, workerflavor="c1.xlarge", workercount=5)
SIZED = Layout(
    masterflavor="m1.large",
    mastercount=1,
    workerflavor="",
    workercount=5,
    mastersize=ALL,
    workersize=SOME,
    workermin=2,
    workermax=9,
    groups=(NodeGroup(name="gpu", role="worker", count=2, size=ALL, flavor="g1.large", min=0, max=4),),
)
LIMITS = Limits(
    capacity={"cores": 16}, monthly_hours={"cores": 5000, "memory": 10**9}, ahead_hours=720, duration_hours=72
)
TEMPLATE = FromTemplate(name="small", version=2, count=3)
BOOKED: dict[str, Any] = {"booking": ONE, "pool": "gaia.spark"}
CLUSTER: dict[str, Any] = {"cluster": "gaia.spark", "parent": "gaia", "kind": "magnum"}
AMENDED: dict[str, Any] = PERIOD | {"from_start": START, "from_end": END, "account": "grace"}

EVERY_FIELD: tuple[Event, ...] = (
    ProjectCreated(**FULL, name="Gaia", overcommit=Overcommit(beyond_hours=336)),
    GrantCreated(**FULL, **PERIOD, grant=ONE, capacity=ALL, source="nova"),
    GrantWithdrawn(**FULL, **PERIOD, grant=ONE, capacity=ALL),
    ClusterCreated(**FULL, **PERIOD, **CLUSTER, capacity=ALL, overcommit="never", layout=LAYOUT, tentative=True),
    ClusterResized(
        **FULL, **PERIOD, cluster="gaia.spark", capacity=ALL, layout=LAYOUT, request=TWO, tentative=True, lapsed=True
    ),
    ClusterConfirmed(**FULL, cluster="gaia.spark"),
    ClusterResizeRequested(**FULL, **PERIOD, request=TWO, cluster="gaia.spark", capacity=ALL, layout=LAYOUT),
    ClusterResizeFailed(**FULL, request=TWO, cluster="gaia.spark", error="no valid host"),
    TemplateCreated(**FULL, template="small", version=2, capacity=ALL),
    AccountCreated(**FULL, account="grace", name="Grace", limits=LIMITS),
    AccountLimitsSet(**FULL, account="grace", limits=LIMITS),
    AccountClosed(**FULL, account="grace"),
    AccountMemberAdded(**FULL, account="grace", member="egi:2f6c"),
    AccountMemberRemoved(**FULL, account="grace", member="group:egi:platform"),
    RoleGranted(**FULL, pool="gaia.spark", role="manager", member="group:egi:platform"),
    RoleRevoked(**FULL, pool="gaia", role="auditor", member="egi:2f6c"),
    SeriesCreated(
        **FULL,
        series=ONE,
        pool="gaia.spark",
        account="grace",
        rrule="FREQ=DAILY;COUNT=3",
        timezone="Europe/Berlin",
        skipped=(Skipped(start=START, end=END, why="there is not enough"),),
    ),
    BookingCreated(
        **FULL,
        **PERIOD,
        **BOOKED,
        account="grace",
        capacity=ALL,
        share=2000,
        template=TEMPLATE,
        tentative=True,
        series=TWO,
    ),
    BookingAmended(
        **FULL,
        **AMENDED,
        **BOOKED,
        from_capacity=SOME,
        from_share=1000,
        capacity=ALL,
        share=2000,
        template=TEMPLATE,
        tentative=True,
    ),
    BookingCancelled(**FULL, **PERIOD, **BOOKED, capacity=ALL, share=2000),
    BookingLapsed(**FULL, **PERIOD, **BOOKED, capacity=ALL, share=2000),
    BookingConfirmed(**FULL, **BOOKED),
    BookingContested(**FULL, **BOOKED),
    TermBegan(**FULL | {"project": "_ledger"}, system="7410000000000000123", timeline=2),
)
WITH_NODES: tuple[Event, ...] = (
    ClusterCreated(**BARE, **PERIOD, **CLUSTER, capacity=ALL, layout=SIZED),
    ClusterResized(**BARE, **PERIOD, cluster="gaia.spark", capacity=ALL, layout=SIZED),
    ClusterResizeRequested(**BARE, **PERIOD, request=TWO, cluster="gaia.spark", capacity=ALL, layout=SIZED),
)
REQUIRED_FIELDS: tuple[Event, ...] = (
    ProjectCreated(**BARE, name="Gaia"),
    GrantCreated(**BARE, **PERIOD, grant=ONE, capacity=SOME),
    GrantWithdrawn(**BARE, **PERIOD, grant=ONE, capacity=SOME),
    ClusterCreated(**BARE, **PERIOD, **CLUSTER, capacity=SOME),
    ClusterResized(**BARE, **PERIOD, cluster="gaia.spark", capacity=SOME),
    ClusterConfirmed(**BARE, cluster="gaia.spark"),
    ClusterResizeRequested(**BARE, **PERIOD, request=TWO, cluster="gaia.spark", capacity=SOME),
    ClusterResizeFailed(**BARE, request=TWO, cluster="gaia.spark", error="no valid host"),
    TemplateCreated(**BARE, template="small", version=1, capacity=SOME),
    AccountCreated(**BARE, account="grace", name="Grace"),
    AccountLimitsSet(**BARE, account="grace", limits=Limits()),
    AccountClosed(**BARE, account="grace"),
    AccountMemberAdded(**BARE, account="grace", member="egi:2f6c"),
    AccountMemberRemoved(**BARE, account="grace", member="egi:2f6c"),
    RoleGranted(**BARE, pool="gaia", role="viewer", member="egi:2f6c"),
    RoleRevoked(**BARE, pool="gaia", role="viewer", member="egi:2f6c"),
    SeriesCreated(
        **BARE, series=ONE, pool="gaia", account="grace", rrule="FREQ=DAILY;COUNT=3", timezone="Europe/Berlin"
    ),
    BookingCreated(**BARE, **PERIOD, **BOOKED, account="grace", capacity=SOME),
    BookingAmended(**BARE, **AMENDED, **BOOKED, capacity=SOME, from_capacity=SOME),
    BookingCancelled(**BARE, **PERIOD, **BOOKED, capacity=SOME),
    BookingLapsed(**BARE, **PERIOD, **BOOKED, share=2000),
    BookingConfirmed(**BARE, **BOOKED),
    BookingContested(**BARE, **BOOKED),
    TermBegan(**BARE | {"project": "_ledger"}, system="7410000000000000123", timeline=2),
)
