"""Magnum clusters: made, resized when they have other nodes than before, and ended when they are gone."""

from __future__ import annotations

import re

import msgspec

from services.cli.openstack.calls import Call, Step, key_of, span_in
from services.cli.openstack.present import Cluster as PresentCluster
from services.cli.openstack.present import Present
from services.cli.openstack.wanted import Cluster, Given, Gone, Resize, Unmapped
from shared.events import Layout
from shared.hours import PERIOD_HOURS_MAX, Period, iso
from shared.names import shown

# What an import called a cluster: its name and the beginning of its UUID, and a number when it is there again.
IMPORTED = re.compile(r"(.+-[0-9a-f]{8})(?:-(\d+))?")


NO_ROOM = (
    "for other hours give --start and --end; disc, which Nova does not limit, is granted by --tempdisc of `hourbook "
    "import nova`, and left out of flavors by its --disc none"
)


def imported_name(cluster: str) -> str | None:
    """The name that the import of a cluster with this id came from, if it did."""
    match = IMPORTED.fullmatch(cluster.rpartition(".")[2])
    return match[1] if match else None


def plan_cluster(wanted: Cluster, present: Present, given: Given, parent: str) -> Step | Unmapped:
    all_of_it = found(wanted.name, present, parent)
    live = next((cluster for cluster in all_of_it if cluster.period.end > given.now), None)
    if live is None:
        return creation(wanted, present, given, parent, len(all_of_it))
    pending = next((id_ for id_, size in live.pending.items() if size.layout == wanted.layout), None)
    size = live.size_at(max(given.now, live.period.start))
    is_so = bool(size.capacity) and size.layout == wanted.layout
    what, how = f"cluster {live.id}", said(wanted.layout)
    if wanted.state == "failed":
        if pending is None:
            return Unmapped(what, f"its last resize failed: {wanted.error}")
        body = {"error": shown(wanted.error[:2000]) or "it failed"}
        call = Call(f"/magcluster/{live.id}/resizes/{pending}/fail", body, key_of("fail", pending))
        return Step("changed", what, f"the resize to {how} failed: {wanted.error}", (call,))
    if is_so or (wanted.state == "requested" and pending is not None):
        return Step("there", what, how)
    if pending is not None:
        call = Call(f"/magcluster/{live.id}/resizes/{pending}/apply", {}, key_of("apply", pending))
        return Step("changed", what, f"{how}, as was requested", (call,))
    status = "requested" if wanted.state == "requested" else "applied"
    was = "nothing" if not size.capacity else said(size.layout) if size.layout else "something else"
    how = f"a resize to {how} is requested" if status == "requested" else f"{how}; it was {was}"
    return Step("changed", what, how, (resize(live, wanted.layout, status),))


def found(name: str, present: Present, parent: str) -> list[PresentCluster]:
    """All that were made of one Magnum cluster, the newest first."""
    of_it = [
        cluster
        for cluster in present.clusters.values()
        if cluster.id.rpartition(".")[0] == parent and imported_name(cluster.id) == name
    ]
    return sorted(of_it, key=lambda cluster: cluster.period.start, reverse=True)


def creation(wanted: Cluster, present: Present, given: Given, parent: str, times: int) -> Step | Unmapped:
    """It has no end at Magnum: it claims what it is made of as long as its parent has anything."""
    what = f"cluster {parent}.{wanted.name}"
    bounds = bounds_of(present, given, parent)
    if bounds is None and (wanted.end is None):
        return Unmapped(what, f"{parent} has no capacity to come: import its quota or leases first, or give --end")
    start = given.now - 1 if wanted.start is None or times else wanted.start
    if bounds is not None and given.start is None:
        start = max(start, bounds.start)
    end = wanted.end if wanted.end is not None else bounds.end if bounds is not None else start
    start = max(start, end - PERIOD_HOURS_MAX)
    if end <= start:
        return Unmapped(what, f"its end {iso(end)} is not after its start {iso(start)}: give --end")
    name = wanted.name if times == 0 else f"{wanted.name}-{times + 1}"
    call = claim(parent, name, Period(start, end), wanted.layout)
    # In hours gone by there may have been less than there is now; what counts is what is to come.
    is_past = start < given.now < end and given.start is None
    later = claim(parent, name, Period(given.now, end), wanted.layout) if is_past else None
    how = f"{said(wanted.layout)}, {iso(start)} .. {iso(end)}"
    return Step("created", f"cluster {parent}.{name}", how, (call,), otherwise=later, hint=NO_ROOM)


def claim(parent: str, name: str, period: Period, layout: Layout) -> Call:
    body = {"parent": parent, "name": name, **span_in(period), **msgspec.structs.asdict(layout)}
    return Call("/magcluster/create", body, key_of(body))


def bounds_of(present: Present, given: Given, parent: str) -> Period | None:
    """The hours in which the parent has something, without a gap; None if they are over."""
    if parent in present.clusters:
        period = present.clusters[parent].period
        return period if period.end > given.now else None
    return present.granted_around(given.now)


def plan_gone(wanted: Gone, present: Present, given: Given, parent: str) -> list[Step | Unmapped]:
    live = [
        cluster
        for cluster in found(wanted.name, present, parent)
        if cluster.period.end > given.now
        and any(size.capacity for size in (cluster.size_at(hour) for hour in hours_of_change(cluster, given.now)))
    ]
    how = f"ended at {iso(given.now)}: it is gone at Magnum"
    return [Step("changed", f"cluster {cluster.id}", how, (ending(cluster, given.now),)) for cluster in live]


def ending(cluster: PresentCluster, now: int) -> Call:
    return Call(f"/clusters/{cluster.id}/resize", {}, key_of("gone", cluster.id, iso(now), len(cluster.sizes)))


def hours_of_change(cluster: PresentCluster, now: int) -> list[int]:
    """The hours to come at which the cluster may get another size, the first of them included."""
    starts = {hour for size in cluster.sizes for hour in size.period if now < hour < cluster.period.end}
    return sorted({max(now, cluster.period.start), *starts})


def plan_resize(wanted: Resize, present: Present, given: Given) -> Step | Unmapped:
    what, cluster = f"resize of {wanted.cluster}", present.clusters.get(wanted.cluster)
    if cluster is None:
        return Unmapped(what, f"there is no cluster {wanted.cluster!r}")
    if cluster.period.end <= given.now:
        return Unmapped(what, f"the cluster ended at {iso(cluster.period.end)}")
    layout = cluster.size_at(max(given.now, cluster.period.start)).layout
    if layout is None:
        return Unmapped(what, "the cluster is not made of masters and workers")
    changed = {"mastercount": wanted.masters, "workercount": wanted.workers}
    after = msgspec.structs.replace(layout, **{name: count for name, count in changed.items() if count is not None})
    if after == layout:
        return Step("there", what, f"it is made of {said(layout)}")
    if any(size.layout == after for size in cluster.pending.values()):
        return Step("there", what, f"{said(after)} is requested already")
    return Step(
        "created", what, f"{said(after)} is requested; it is {said(layout)}", (resize(cluster, after, "requested"),)
    )


def resize(cluster: PresentCluster, layout: Layout, status: str) -> Call:
    """Its key counts the sizes before: there and back and there again are three resizes."""
    body = {**msgspec.structs.asdict(layout), "status": status}
    before = [len(cluster.sizes), sorted(cluster.pending)]
    return Call(f"/magcluster/{cluster.id}/resize", body, key_of(cluster.id, body, before))


def said(layout: Layout) -> str:
    """`1 x m1.large, 3 x m1.small`."""
    return f"{layout.mastercount} x {layout.masterflavor}, {layout.workercount} x {layout.workerflavor}"
