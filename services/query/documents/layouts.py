"""The layout of a cluster in an answer."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

Bound = Annotated[int | None, Meta(description="A bound of a scaler; null where there is none.")]


class Nodes(Struct):
    """Equal nodes, and the size of one of them. Memory is in MiB, the discs are in GiB. A cluster of an older release
    does not say the size."""

    count: Annotated[int, Meta(ge=0, description="The number of nodes.")]
    template: Annotated[str | None, Meta(description="The template of the size; null if it was given as counts.")]
    servers: int | UnsetType = UNSET
    cores: int | UnsetType = UNSET
    memory: int | UnsetType = UNSET
    tempdisc: int | UnsetType = UNSET
    userdisc: int | UnsetType = UNSET
    datadisc: int | UnsetType = UNSET


class Workers(Nodes, kw_only=True):
    """The workers, and the bounds between which a scaler may change their number."""

    min: Bound
    max: Bound


class Group(Workers, kw_only=True):
    """A group of nodes beside the masters and the workers."""

    name: str
    role: Annotated[str, Meta(description="What its nodes do: `master`, `worker`, or another word.")]


class ClusterLayout(Struct):
    """The nodes of a cluster. Its size is the sum of them: the count of each times its size."""

    masters: Annotated[Nodes | None, Meta(description="The masters; null: it has none.")]
    workers: Annotated[Workers | None, Meta(description="The workers; null: it has none.")]
    groups: Annotated[list[Group], Meta(description="The further groups of nodes.")]


LayoutOrNone = Annotated[
    ClusterLayout | None, Meta(description="Null for a cluster whose size was given as counts alone.")
]
