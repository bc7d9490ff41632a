"""The parts that events have in common: policies, templates, layouts, limits."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec.structs import replace

from shared.capacity import WHOLE, Capacity, Count

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


class NodeGroup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A group of equal nodes beside the masters and workers: `count` nodes with the capacity `size` each.

    `flavor` is the template of the size, if there is one. `role` is master, worker, or a word of the client. `min` and
    `max` are the bounds between which a scaler may change the count.
    """

    name: str
    role: Annotated[str, msgspec.Meta(description="What its nodes do: master, worker, or a word of the client.")]
    count: int
    size: Capacity
    flavor: Annotated[str | None, msgspec.Meta(description="The template of the size; null: none.")] = None
    min: Annotated[int | None, msgspec.Meta(description="The smallest count of a scaler; null: none.")] = None
    max: Annotated[int | None, msgspec.Meta(description="The largest count of a scaler; null: none.")] = None


class Layout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The nodes of a cluster: masters of one size, workers of another, and further groups. The capacity of the cluster
    is the sum over all of them of the count times the size.

    A flavor is a template; it is empty for a size that was given as counts. `mastersize` and `workersize` are the
    capacity of one node. Events of older releases do not have them. `workermin` and `workermax` are as in NodeGroup.
    """

    masterflavor: str
    mastercount: int
    workerflavor: str
    workercount: int
    mastersize: Annotated[Capacity | None, msgspec.Meta(description="The capacity of a master.")] = None
    workersize: Annotated[Capacity | None, msgspec.Meta(description="The capacity of a worker.")] = None
    workermin: Annotated[int | None, msgspec.Meta(description="The fewest workers of a scaler; null: none.")] = None
    workermax: Annotated[int | None, msgspec.Meta(description="The most workers of a scaler; null: none.")] = None
    groups: Annotated[tuple[NodeGroup, ...], msgspec.Meta(description="The further groups of nodes.")] = ()

    def same_nodes(self, other: Layout) -> bool:
        """Whether both have the same nodes. A size that one of them does not say is equal to any size."""
        pairs = ((self.mastersize, other.mastersize), (self.workersize, other.workersize))
        if any(None not in pair and pair[0] != pair[1] for pair in pairs):
            return False
        ours, theirs = (replace(layout, mastersize=None, workersize=None) for layout in (self, other))
        return ours == theirs


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
