"""Two specimens of every event type: one with every field said, one with only those that must be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shared.capacity import Capacity
from shared.events import (
    BookingCancelled,
    BookingCreated,
    ClusterCreated,
    ClusterResized,
    Event,
    GrantCreated,
    GrantWithdrawn,
    ProjectCreated,
)

START, END = datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 2, 5, tzinfo=UTC)
ONE, TWO = UUID("01890a5d-ac96-774b-bcce-b302099a8057"), UUID("01890a5d-ac96-774b-bcce-b302099a8058")
SOME = Capacity(cores=4, memory=8192)
ALL = Capacity(servers=1, cores=2, memory=3, tempdisc=4, userdisc=5, datadisc=6)

BARE: dict[str, Any] = {
    "at": datetime(2029, 12, 31, 23, 59, 58, 123456, tzinfo=UTC), "actor": "ada", "command": TWO, "project": "gaia",
}  # fmt: skip
FULL: dict[str, Any] = BARE | {"actor": 'Ada ☃ "Lovelace"\n', "reason": "the survey needs it"}
PERIOD: dict[str, Any] = {"start": START, "end": END}

EVERY_FIELD: tuple[Event, ...] = (
    ProjectCreated(**FULL, name="Gaia", overcommit="beyond"),
    GrantCreated(**FULL, **PERIOD, grant=ONE, capacity=ALL, source="nova"),
    GrantWithdrawn(**FULL, **PERIOD, grant=ONE, capacity=ALL),
    ClusterCreated(**FULL, **PERIOD, cluster="gaia.spark", parent="gaia", kind="magnum", capacity=ALL),
    ClusterResized(**FULL, **PERIOD, cluster="gaia.spark", capacity=ALL),
    BookingCreated(**FULL, **PERIOD, booking=ONE, pool="gaia.spark", account="grace", capacity=ALL),
    BookingCancelled(**FULL, **PERIOD, booking=ONE, pool="gaia.spark", capacity=ALL),
)
REQUIRED_FIELDS: tuple[Event, ...] = (
    ProjectCreated(**BARE, name="Gaia"),
    GrantCreated(**BARE, **PERIOD, grant=ONE, capacity=SOME),
    GrantWithdrawn(**BARE, **PERIOD, grant=ONE, capacity=SOME),
    ClusterCreated(**BARE, **PERIOD, cluster="gaia.spark", parent="gaia", kind="magnum", capacity=SOME),
    ClusterResized(**BARE, **PERIOD, cluster="gaia.spark", capacity=SOME),
    BookingCreated(**BARE, **PERIOD, booking=ONE, pool="gaia.spark", account="grace", capacity=SOME),
    BookingCancelled(**BARE, **PERIOD, booking=ONE, pool="gaia.spark", capacity=SOME),
)
