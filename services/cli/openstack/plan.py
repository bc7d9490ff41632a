"""What is wanted and what is present become the steps that make it so; where it is so already, nothing is done."""

from __future__ import annotations

from collections.abc import Iterable

from services.cli.openstack.calls import Call, Step, counts_in
from services.cli.openstack.magnum import digits_of
from services.cli.openstack.plan_clusters import imported_name, plan_cluster, plan_gone, plan_resize
from services.cli.openstack.plan_grants import plan_grants, plan_revoked
from services.cli.openstack.present import FLAVOR, IDS_MAX, Present
from services.cli.openstack.wanted import (
    Cluster,
    Given,
    Gone,
    Grants,
    Resize,
    Revoked,
    Template,
    Unmapped,
    Wanted,
    said,
)
from shared.names import shown

Planned = Step | Unmapped


def plan(wanted: Wanted, present: Present, given: Given, parent: str) -> list[Planned]:
    """The steps for one thing. What they come to is not in `present`: things that follow are planned on a newer one."""
    match wanted:
        case Template():
            return [plan_template(wanted, present, given)]
        case Grants():
            return [plan_grants(wanted, present, given)]
        case Revoked():
            return plan_revoked(wanted, present, given)
        case Cluster():
            return [plan_cluster(wanted, present, given, parent)]
        case Gone():
            return plan_gone(wanted, present, given, parent)
        case Resize():
            return [plan_resize(wanted, present, given)]


def plan_template(wanted: Template, present: Present, given: Given) -> Step:
    what, how = f"template {wanted.name}", said(wanted.capacity)
    before = present.templates.get(wanted.name)
    if before == wanted.capacity:
        return Step("there", what, how)
    # No key: defining what is so already changes nothing, and A, B, A is three versions.
    body = {"project": given.project, "name": wanted.name, **counts_in(wanted.capacity)}
    is_said = 0 < len(wanted.flavor) <= IDS_MAX and shown(wanted.flavor) == wanted.flavor
    call = Call("/templates/create", body | ({"reason": FLAVOR + wanted.flavor} if is_said else {}))
    if before is None:
        return Step("created", what, how, (call,))
    return Step("changed", what, f"{how}; it was {said(before)}", (call,))


def missing_clusters(uuids: Iterable[str], present: Present, given: Given, parent: str) -> list[Gone]:
    """The clusters that an import made, that still have a size, and whose UUID is not among those that there are."""
    there = {digits_of(uuid) for uuid in uuids}
    return [
        Gone(name)
        for cluster in present.clusters.values()
        if cluster.kind == "magnum"
        and cluster.id.rpartition(".")[0] == parent
        and cluster.size_at(given.now).capacity
        and (name := imported_name(cluster.id)) is not None
        and name.rpartition("-")[2] not in there
    ]


def missing_leases(sources: Iterable[str], present: Present, given: Given) -> list[Revoked]:
    """The leases that something is granted of still, and that are not among those that there are."""
    there = set(sources)
    granting = {grant.source for grant in present.grants.values() if grant.source and grant.end > given.now}
    return [
        Revoked(source, f"lease {source.partition(':')[2]}")
        for source in sorted(granting)
        if source.startswith("blazar:") and source not in there
    ]
