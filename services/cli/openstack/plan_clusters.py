"""Plans Magnum clusters: creates them, resizes them when their nodes changed, ends them when they were deleted."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from services.cli.openstack.current import CurrentCluster, CurrentState
from services.cli.openstack.desired import DeletedCluster, DesiredCluster, ImportOptions, ResizeRequest, Unmapped
from services.cli.openstack.steps import Call, Step, idempotency_key, period_fields
from shared.events import Layout, NodeGroup
from shared.hours import PERIOD_HOURS_MAX, Period, iso
from shared.names import shown

# The name of an imported cluster: its name and digits of its UUID, and a number when it was imported again.
IMPORTED = re.compile(r"(.+-[0-9a-f]{8})(?:-(\d+))?")

FLAVORS = ("masterflavor", "mastercount", "workerflavor", "workercount")
BOUNDS = ("workermin", "workermax")
UNSAID = ("mastersize", "workersize", "size", "groups")
GROUP = ("name", "role", "count", "flavor", "min", "max")
WORKER_GROUP = "if that group has all workers of the cluster, give --worker-group with its name"
CAPACITY_HINT = (
    "for other hours give --start and --end; if disc is missing, grant it with --tempdisc of `hourbook import nova`, "
    "or leave it out of flavors with its --disc none"
)


def imported_name(cluster: str) -> str | None:
    """The name, with digits, of the Magnum cluster that was imported under this id; None when it was not imported."""
    match = IMPORTED.fullmatch(cluster.rpartition(".")[2])
    return match[1] if match else None


def plan_cluster(
    desired: DesiredCluster, current: CurrentState, options: ImportOptions, parent: str
) -> Step | Unmapped:
    all_of_it = imports_of(desired.name, current, parent)
    live = next((cluster for cluster in all_of_it if cluster.period.end > options.now), None)
    if live is None:
        return plan_creation(desired, current, options, parent, len(all_of_it))
    size = live.size_at(max(options.now, live.period.start))
    if size.layout is not None and size.layout.groups and not desired.has_groups:
        return Unmapped(f"cluster {live.id}", "it has node groups in Hourbook: give the documents of its groups too")
    pending = next((id_ for id_, size in live.pending.items() if is_same(desired, size.layout)), None)
    is_so = bool(size.capacity) and is_same(desired, size.layout)
    what, how = f"cluster {live.id}", layout_text(desired.layout)
    if desired.state == "failed":
        if pending is None:
            return Unmapped(what, f"its last resize failed: {desired.error}")
        body = {"error": shown(desired.error[:2000]) or "it failed"}
        call = Call(f"/magcluster/{live.id}/resizes/{pending}/fail", body, idempotency_key("fail", pending))
        return Step("changed", what, f"the resize to {how} failed: {desired.error}", (call,))
    if is_so or (desired.state == "requested" and pending is not None):
        return Step("there", what, how)
    if pending is not None:
        call = Call(f"/magcluster/{live.id}/resizes/{pending}/apply", {}, idempotency_key("apply", pending))
        return Step("changed", what, f"{how}, as requested", (call,))
    status = "requested" if desired.state == "requested" else "applied"
    was = "nothing" if not size.capacity else layout_text(size.layout) if size.layout else "something else"
    how = f"a resize to {how} is requested" if status == "requested" else f"{how}; it was {was}"
    return Step("changed", what, how, (resize_call(live, desired.layout, status, size.layout),))


def imports_of(name: str, current: CurrentState, parent: str) -> list[CurrentCluster]:
    """All imports of one Magnum cluster, the newest first."""
    of_it = [
        cluster
        for cluster in current.clusters.values()
        if cluster.id.rpartition(".")[0] == parent and imported_name(cluster.id) == name
    ]
    return sorted(of_it, key=lambda cluster: cluster.period.start, reverse=True)


def plan_creation(
    desired: DesiredCluster, current: CurrentState, options: ImportOptions, parent: str, times: int
) -> Step | Unmapped:
    """Creates the cluster. Magnum has no end for it: it lasts as long as its parent has capacity."""
    what = f"cluster {parent}.{desired.name}"
    bounds = bounds_of(current, options, parent)
    if bounds is None and (desired.end is None):
        return Unmapped(what, f"{parent} has no future capacity: import its quota or leases first, or give --end")
    start = options.now - 1 if desired.start is None or times else desired.start
    if bounds is not None and options.start is None:
        start = max(start, bounds.start)
    end = desired.end if desired.end is not None else bounds.end if bounds is not None else start
    start = max(start, end - PERIOD_HOURS_MAX)
    if end <= start:
        return Unmapped(what, f"its end {iso(end)} is not after its start {iso(start)}: give --end")
    name = desired.name if times == 0 else f"{desired.name}-{times + 1}"
    call = create_call(parent, name, Period(start, end), desired.layout)
    # The past may have had less capacity than the future has: if so, the cluster begins now.
    is_past = start < options.now < end and options.start is None
    later = create_call(parent, name, Period(options.now, end), desired.layout) if is_past else None
    how = f"{layout_text(desired.layout)}, {iso(start)} .. {iso(end)}"
    return Step("created", f"cluster {parent}.{name}", how, (call,), fallback=later, hint=CAPACITY_HINT)


def is_same(desired: DesiredCluster, layout: Layout | None) -> bool:
    """Whether a layout in Hourbook is the desired one. Magnum says no sizes, and bounds only where there are some."""
    if layout is None:
        return False
    wanted = desired.layout
    return (
        replace_unsaid(layout, wanted) == wanted
        and len(wanted.groups) == len(layout.groups)
        and all(
            replace_unsaid(theirs, ours) == ours
            for ours, theirs in zip(sorted_groups(wanted), sorted_groups(layout), strict=True)
        )
    )


T = TypeVar("T", Layout, NodeGroup)


def replace_unsaid(theirs: T, ours: T) -> T:
    """`theirs` with what Magnum does not say as it is in `ours`: sizes, and bounds that are not there."""
    unsaid = {name: getattr(ours, name) for name in UNSAID if name in ours.__struct_fields__}
    bounds = {
        name: None for name in ("min", "max", *BOUNDS) if name in ours.__struct_fields__ and getattr(ours, name) is None
    }
    return msgspec.structs.replace(theirs, **unsaid, **bounds)


def sorted_groups(layout: Layout) -> list[NodeGroup]:
    return sorted(layout.groups, key=lambda group: group.name)


def layout_fields(layout: Layout, before: Layout | None = None) -> dict[str, Any]:
    """The fields of a request's body for a layout. The groups are named where there are or were some."""
    fields = {name: getattr(layout, name) for name in FLAVORS}
    fields |= {name: bound for name in BOUNDS if (bound := getattr(layout, name)) is not None}
    if layout.groups or (before is not None and before.groups):
        fields["groups"] = [
            {name: value for name in GROUP if (value := getattr(group, name)) is not None} for group in layout.groups
        ]
    return fields


def create_call(parent: str, name: str, period: Period, layout: Layout) -> Call:
    body = {"parent": parent, "name": name, **period_fields(period), **layout_fields(layout)}
    return Call("/magcluster/create", body, idempotency_key(body))


def bounds_of(current: CurrentState, options: ImportOptions, parent: str) -> Period | None:
    """The hours without a gap in which the parent has capacity; None when they are over."""
    if parent in current.clusters:
        period = current.clusters[parent].period
        return period if period.end > options.now else None
    return current.granted_around(options.now)


def plan_gone(
    desired: DeletedCluster, current: CurrentState, options: ImportOptions, parent: str
) -> list[Step | Unmapped]:
    live = [
        cluster
        for cluster in imports_of(desired.name, current, parent)
        if cluster.period.end > options.now
        and any(size.capacity for size in (cluster.size_at(hour) for hour in hours_of_change(cluster, options.now)))
    ]
    how = f"ended at {iso(options.now)}: Magnum deleted it"
    return [Step("changed", f"cluster {cluster.id}", how, (end_call(cluster, options.now),)) for cluster in live]


def end_call(cluster: CurrentCluster, now: int) -> Call:
    return Call(f"/clusters/{cluster.id}/resize", {}, idempotency_key("gone", cluster.id, iso(now), len(cluster.sizes)))


def hours_of_change(cluster: CurrentCluster, now: int) -> list[int]:
    """The future hours in which the cluster's size may change, and the first future hour."""
    starts = {hour for size in cluster.sizes for hour in size.period if now < hour < cluster.period.end}
    return sorted({max(now, cluster.period.start), *starts})


def plan_resize(desired: ResizeRequest, current: CurrentState, options: ImportOptions) -> Step | Unmapped:
    what, cluster = f"resize of {desired.cluster}", current.clusters.get(desired.cluster)
    if cluster is None:
        return Unmapped(what, f"there is no cluster {desired.cluster!r}")
    if cluster.period.end <= options.now:
        return Unmapped(what, f"the cluster ended at {iso(cluster.period.end)}")
    layout = cluster.size_at(max(options.now, cluster.period.start)).layout
    if layout is None:
        return Unmapped(what, "the cluster does not have masters and workers")
    after = resized(layout, desired)
    if after is None:
        return Unmapped(what, f"the cluster has no node group {desired.group!r}; {WORKER_GROUP}")
    if after == layout:
        return Step("there", what, f"it has {layout_text(layout)}")
    if any(size.layout is not None and after.same_nodes(size.layout) for size in cluster.pending.values()):
        return Step("there", what, f"{layout_text(after)} is requested already")
    return Step(
        "created",
        what,
        f"{layout_text(after)} is requested; it is {layout_text(layout)}",
        (resize_call(cluster, after, "requested", layout),),
    )


def resized(layout: Layout, desired: ResizeRequest) -> Layout | None:
    """The layout after the resize; None if it has no such group."""
    if desired.group is None:
        changed = {"mastercount": desired.masters, "workercount": desired.workers}
        return msgspec.structs.replace(layout, **{name: count for name, count in changed.items() if count is not None})
    if desired.group not in {group.name for group in layout.groups}:
        return None
    groups = [
        msgspec.structs.replace(group, count=desired.workers) if group.name == desired.group else group
        for group in layout.groups
    ]
    return msgspec.structs.replace(layout, groups=tuple(groups))


def resize_call(cluster: CurrentCluster, layout: Layout, status: str, live: Layout | None) -> Call:
    """The call that resizes a cluster. Its key counts earlier sizes: A, B, A is three resizes."""
    body = {**layout_fields(layout, live), "status": status}
    before = [len(cluster.sizes), sorted(cluster.pending)]
    return Call(f"/magcluster/{cluster.id}/resize", body, idempotency_key(cluster.id, body, before))


def layout_text(layout: Layout) -> str:
    """The layout as text: `1 x m1.large, 3 x m1.small, gpu 2 x g1.large`."""
    nodes = [f"{layout.mastercount} x {layout.masterflavor}", f"{layout.workercount} x {layout.workerflavor}"]
    return ", ".join([*nodes, *(f"{group.name} {group.count} x {group.flavor}" for group in layout.groups)])
