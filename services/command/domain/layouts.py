"""Layouts: the nodes of a cluster, and the size that they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from services.command.domain.commands import GroupChange, LayoutChange
from services.command.domain.state import ProjectState
from services.command.domain.templates import version_of
from shared.capacity import COUNT_MAX, DIMENSIONS, NOTHING, Capacity, capacity_of
from shared.errors import InvalidField
from shared.events import Layout, NodeGroup

PARTS = ("flavor", "count", "size")
NO_SIZE = "its nodes have no size; give counts or the name of a template"


class Given(Struct, frozen=True):
    """What a request says of some nodes: a flavor (a template) or a size of one node, and their number."""

    flavor: str | None
    count: int | None
    size: Capacity | None


class Nodes(Struct, frozen=True):
    """Equal nodes: `count` of them, each with `size`. `flavor` is the template of the size; empty without one. `size`
    None: an event of an older release does not say it."""

    flavor: str
    count: int
    size: Capacity | None


class Names(NamedTuple):
    """The names that a request has for the parts of some nodes: for errors."""

    size: str
    number: str


def size_of(
    state: ProjectState, capacity: Capacity, change: LayoutChange | None, before: Layout | None
) -> tuple[Capacity, Layout | None]:
    """The size and the layout of a command with a capacity, a layout, or both. Raises InvalidField where both are given
    and do not agree."""
    if change is None:
        return capacity, None
    size, layout = lay_out(state, change, before)
    for dimension, given, count in zip(DIMENSIONS, capacity.counts(), size.counts(), strict=True):
        if given not in (0, count):
            raise InvalidField(
                dimension,
                f"{given} contradicts the layout, which adds up to {count}; leave {dimension} out, or give {count}",
            )
    return size, layout


def lay_out(state: ProjectState, change: LayoutChange, before: Layout | None) -> tuple[Capacity, Layout]:
    """The size that a layout adds up to, and the layout. Raises InvalidField."""
    masters, workers = (_nodes(state, change, role, before) for role in ("master", "worker"))
    groups = before.groups if before is not None else ()
    if change.groups is not None:
        groups = tuple(_groups(state, change.groups, groups, change.nested))
    kept = before or Layout(masterflavor="", mastercount=0, workerflavor="", workercount=0)
    layout = Layout(
        masterflavor=masters.flavor,
        mastercount=masters.count,
        mastersize=masters.size,
        workerflavor=workers.flavor,
        workercount=workers.count,
        workersize=workers.size,
        workermin=kept.workermin if change.workermin is None else change.workermin,
        workermax=kept.workermax if change.workermax is None else change.workermax,
        groups=groups,
    )
    _check_bounds(layout.workermin, layout.workermax, "layout.workers.max" if change.nested else "workermax")
    return _sum([masters, workers, *groups], "layout" if change.nested else "workercount"), layout


def _nodes(state: ProjectState, change: LayoutChange, role: str, before: Layout | None) -> Nodes:
    """The masters or the workers."""
    names = Names(f"layout.{role}s.template", f"layout.{role}s.count")
    if not change.nested:
        names = Names(f"{role}flavor", f"{role}count")
    given = Given(*(getattr(change, f"{role}{part}") for part in PARTS))
    old = None if before is None else Nodes(*(getattr(before, f"{role}{part}") for part in PARTS))
    if old is None and change.nested and given == Given(None, None, None):
        return Nodes("", 0, None)
    return _resolved(state, names, given, old, magnum=not change.nested)


def _resolved(state: ProjectState, names: Names, given: Given, old: Nodes | None, *, magnum: bool) -> Nodes:
    """The nodes with their size. What is None in `given` is that of `old`. `magnum`: each node is a server."""
    flavor, count, size = given.flavor, given.count, given.size
    if flavor is None and size is None and old is not None:
        flavor, size, magnum = old.flavor, old.size, True  # without a size, it is a Magnum cluster of an older release
    if flavor is None and size is None:
        if magnum:
            raise InvalidField(names.size, "required field is missing")
        raise InvalidField(names.size, NO_SIZE)
    if count is None:
        if old is None:
            raise InvalidField(names.number, "required field is missing")
        count = old.count
    if size is None and flavor:
        size = version_of(state, flavor, None, names.size)[1]
        if magnum and not size.servers:
            size = replace(size, servers=1)
    if count and not size:
        raise InvalidField(names.size, NO_SIZE)
    return Nodes(flavor or "", count, size)


def _groups(
    state: ProjectState, changes: Iterable[GroupChange], before: Iterable[NodeGroup], nested: bool
) -> Iterator[NodeGroup]:
    """The groups of a change. A group that has the name of one of `before` has what it does not say from that one."""
    known, seen = {group.name: group for group in before}, set[str]()
    for number, change in enumerate(changes):
        place = f"{'layout.' if nested else ''}groups[{number}]"
        if change.name in seen:
            raise InvalidField(f"{place}.name", f"another group has the name {change.name!r}")
        seen.add(change.name)
        yield _group(state, change, known.get(change.name), place, nested)


def _group(state: ProjectState, change: GroupChange, before: NodeGroup | None, place: str, nested: bool) -> NodeGroup:
    given = Given(change.flavor, change.count, change.size)
    old = None if before is None else Nodes(before.flavor or "", before.count, before.size)
    names = Names(f"{place}.{'template' if nested else 'flavor'}", f"{place}.count")
    nodes = _resolved(state, names, given, old, magnum=not nested)
    kept = before or NodeGroup(name=change.name, role="worker", count=0, size=NOTHING)
    group = NodeGroup(
        name=change.name,
        role=change.role or kept.role,
        count=nodes.count,
        size=nodes.size or NOTHING,
        flavor=nodes.flavor or None,
        min=kept.min if change.min is None else change.min,
        max=kept.max if change.max is None else change.max,
    )
    _check_bounds(group.min, group.max, f"{place}.max")
    return group


def _check_bounds(least: int | None, most: int | None, field: str) -> None:
    if least is not None and most is not None and most < least:
        raise InvalidField(field, f"{most} is less than min, which is {least}")


def _sum(nodes: Iterable[Nodes | NodeGroup], field: str) -> Capacity:
    """The capacity of all nodes together. Raises InvalidField if it is too large."""
    counts = [0] * len(DIMENSIONS)
    for one in nodes:
        size = one.size or NOTHING
        counts = [total + one.count * each for total, each in zip(counts, size.counts(), strict=True)]
    if max(counts) > COUNT_MAX:
        raise InvalidField(field, f"the cluster would be more than {COUNT_MAX} in some dimension")
    return capacity_of(counts)
