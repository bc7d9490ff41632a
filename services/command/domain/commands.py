"""What can be asked of a project. Time, ids and the actor come in with the command; nothing here looks at a clock."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from shared.capacity import Capacity
from shared.hours import Period


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, when, why, and under which command id."""

    command: UUID
    actor: str
    at: datetime
    reason: str | None = None


class CreateProject(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    project: str
    name: str


class CreateGrant(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    grant: UUID
    period: Period
    capacity: Capacity
    source: str | None = None


class WithdrawGrant(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    grant: UUID


class CreateCluster(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    cluster: str
    parent: str
    kind: str
    period: Period
    capacity: Capacity


class ResizeCluster(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`start` None: the next whole hour; `end` None: the cluster's end."""

    cluster: str
    capacity: Capacity
    start: int | None = None
    end: int | None = None


class CreateBooking(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    booking: UUID
    pool: str
    account: str
    period: Period
    capacity: Capacity


class CancelBooking(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    booking: UUID


Command = CreateProject | CreateGrant | WithdrawGrant | CreateCluster | ResizeCluster | CreateBooking | CancelBooking
