"""The parts that events have in common: policies, templates, layouts, limits."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from shared.capacity import WHOLE, Count

BasisPoints = Annotated[int, msgspec.Meta(ge=0, le=WHOLE)]
Role = Literal["viewer", "reader", "member", "manager", "admin", "auditor"]


class Overcommit(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A pool's policy: hours that start at least `beyond_hours` after the next whole hour may be over-committed."""

    beyond_hours: Annotated[int, msgspec.Meta(ge=1, le=87_672)]


Policy = Literal["never"] | Overcommit


def beyond_hours(policy: Policy) -> int | None:
    """The hours after which the policy allows over-commit; None if it never does."""
    return policy.beyond_hours if isinstance(policy, Overcommit) else None


class FromTemplate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The template of a booking: its capacity is `count` times the capacity of this version of the template."""

    name: str
    version: int
    count: int = 1


class Layout(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The nodes of a Magnum cluster: masters of one flavor, workers of another. A flavor is a template."""

    masterflavor: str
    mastercount: int
    workerflavor: str
    workercount: int


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True):
    """The limits of an account in a project. A limit or a dimension that is left out does not limit.

    `capacity` limits what the account holds in one hour, by dimension. `monthly_hours` limits the resource-hours of a
    calendar month (UTC), by dimension. `ahead_hours` limits how long before its start a booking may be made, and
    `duration_hours` how long it may last.
    """

    capacity: dict[str, Count] | None = None
    monthly_hours: dict[str, Annotated[int, msgspec.Meta(ge=0, le=10**15)]] | None = None
    ahead_hours: Annotated[int, msgspec.Meta(ge=1)] | None = None
    duration_hours: Annotated[int, msgspec.Meta(ge=1)] | None = None
