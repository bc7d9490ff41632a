"""The layouts in the bodies of commands: what a client may say of the nodes of a cluster."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from services.command.domain import GroupChange, LayoutChange
from services.command.routes.fields import (
    GROUPS_MAX,
    Cores,
    DataDisc,
    GroupName,
    Memory,
    NodeCount,
    NodeFlavor,
    NodeMax,
    NodeMin,
    NodeRole,
    NodeTemplate,
    Servers,
    TempDisc,
    UserDisc,
)
from shared.capacity import DIMENSIONS, Capacity
from shared.errors import InvalidField

T = TypeVar("T")


class NodesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`count` equal nodes. The size of one node is given as counts, or as a `template`. In a resize, what is left out
    stays as it is."""

    count: NodeCount | None = None
    template: NodeTemplate | None = None
    servers: Servers | None = None
    cores: Cores | None = None
    memory: Memory | None = None
    tempdisc: TempDisc | None = None
    userdisc: UserDisc | None = None
    datadisc: DataDisc | None = None


class WorkersRequest(NodesRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The workers: as the masters, and the bounds of a scaler."""

    min: NodeMin | None = None
    max: NodeMax | None = None


class GroupRequest(WorkersRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of nodes beside the masters and the workers. The `role` is `worker` if none is given."""

    name: GroupName
    role: NodeRole | None = None


Groups = Annotated[
    tuple[GroupRequest, ...],
    Meta(
        max_length=GROUPS_MAX,
        description="All groups beside the masters and the workers. In a resize, a group that is left out ends.",
    ),
]


class LayoutRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The nodes of a cluster. Its size is the sum over all nodes. Masters or workers that are left out are none; in a
    resize they stay as they are."""

    masters: Annotated[NodesRequest | None, Meta(description="The masters.")] = None
    workers: Annotated[WorkersRequest | None, Meta(description="The workers, and the bounds of a scaler.")] = None
    groups: Groups | None = None


class FlavorGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node group of Magnum beside the default masters and the default workers. The `role` is `worker` if none is
    given. In a resize, what is left out stays as it is."""

    name: GroupName
    role: NodeRole | None = None
    count: NodeCount | None = None
    flavor: NodeFlavor | None = None
    min: NodeMin | None = None
    max: NodeMax | None = None


FlavorGroups = Annotated[
    tuple[FlavorGroup, ...],
    Meta(
        max_length=GROUPS_MAX,
        description="All further node groups. In a resize, a group that is left out of the list ends.",
    ),
]


def given(value: T | UnsetType | None) -> T | None:
    """The value of a field; None where it is left out."""
    return None if value is UNSET else value


def layout_of(layout: LayoutRequest | UnsetType | None) -> LayoutChange | None:
    """The layout of a body; None where it is left out. Raises InvalidField."""
    data = given(layout)
    if data is None:
        return None
    masters, workers = data.masters or NodesRequest(), data.workers or WorkersRequest()
    return LayoutChange(
        masterflavor=masters.template,
        mastercount=masters.count,
        mastersize=_size(masters, "layout.masters"),
        workerflavor=workers.template,
        workercount=workers.count,
        workersize=_size(workers, "layout.workers"),
        workermin=workers.min,
        workermax=workers.max,
        groups=None if data.groups is None else tuple(_group(*numbered) for numbered in enumerate(data.groups)),
        nested=True,
    )


def _group(number: int, data: GroupRequest) -> GroupChange:
    return GroupChange(
        name=data.name,
        role=data.role,
        count=data.count,
        flavor=data.template,
        size=_size(data, f"layout.groups[{number}]"),
        min=data.min,
        max=data.max,
    )


def flavor_groups(groups: tuple[FlavorGroup, ...] | None) -> tuple[GroupChange, ...] | None:
    """The node groups of Magnum's endpoints; None where they are left out."""
    return None if groups is None else tuple(GroupChange(**msgspec.structs.asdict(group)) for group in groups)


def _size(data: NodesRequest, field: str) -> Capacity | None:
    """The counts of one node; None where none is given."""
    given = {name: count for name in DIMENSIONS if (count := getattr(data, name)) is not None}
    if given and data.template is not None:
        raise InvalidField(f"{field}.template", "give the size as counts or as a template, not as both")
    return Capacity(**given) if given else None
