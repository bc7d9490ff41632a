"""What is wanted and what is present become the steps that make it so; where it is so already, nothing is done."""

from __future__ import annotations

from collections.abc import Iterable

from services.cli.openstack.current import FLAVOR, IDS_MAX, CurrentState
from services.cli.openstack.desired import (
    DeletedCluster,
    Desired,
    DesiredCluster,
    DesiredGrants,
    DesiredTemplate,
    EndedSource,
    ImportOptions,
    ResizeRequest,
    Unmapped,
    capacity_text,
)
from services.cli.openstack.magnum import digits_of
from services.cli.openstack.plan_clusters import imported_name, plan_cluster, plan_gone, plan_resize
from services.cli.openstack.plan_grants import plan_grants, plan_revoked
from services.cli.openstack.steps import Call, Step, count_fields
from shared.names import shown

Planned = Step | Unmapped


def plan(desired: Desired, current: CurrentState, options: ImportOptions, parent: str) -> list[Planned]:
    """The steps for one thing. What they come to is not in `present`: things that follow are planned on a newer one."""
    match desired:
        case DesiredTemplate():
            return [plan_template(desired, current, options)]
        case DesiredGrants():
            return [plan_grants(desired, current, options)]
        case EndedSource():
            return plan_revoked(desired, current, options)
        case DesiredCluster():
            return [plan_cluster(desired, current, options, parent)]
        case DeletedCluster():
            return plan_gone(desired, current, options, parent)
        case ResizeRequest():
            return [plan_resize(desired, current, options)]


def plan_template(desired: DesiredTemplate, current: CurrentState, options: ImportOptions) -> Step:
    what, how = f"template {desired.name}", capacity_text(desired.capacity)
    before = current.templates.get(desired.name)
    if before == desired.capacity:
        return Step("there", what, how)
    # No key: defining what is so already changes nothing, and A, B, A is three versions.
    body = {"project": options.project, "name": desired.name, **count_fields(desired.capacity)}
    is_said = 0 < len(desired.flavor) <= IDS_MAX and shown(desired.flavor) == desired.flavor
    call = Call("/templates/create", body | ({"reason": FLAVOR + desired.flavor} if is_said else {}))
    if before is None:
        return Step("created", what, how, (call,))
    return Step("changed", what, f"{how}; it was {capacity_text(before)}", (call,))


def missing_clusters(
    uuids: Iterable[str], current: CurrentState, options: ImportOptions, parent: str
) -> list[DeletedCluster]:
    """The clusters that an import made, that still have a size, and whose UUID is not among those that there are."""
    there = {digits_of(uuid) for uuid in uuids}
    return [
        DeletedCluster(name)
        for cluster in current.clusters.values()
        if cluster.kind == "magnum"
        and cluster.id.rpartition(".")[0] == parent
        and cluster.size_at(options.now).capacity
        and (name := imported_name(cluster.id)) is not None
        and name.rpartition("-")[2] not in there
    ]


def missing_leases(sources: Iterable[str], current: CurrentState, options: ImportOptions) -> list[EndedSource]:
    """The leases that something is granted of still, and that are not among those that there are."""
    there = set(sources)
    granting = {grant.source for grant in current.grants.values() if grant.source and grant.end > options.now}
    return [
        EndedSource(source, f"lease {source.partition(':')[2]}")
        for source in sorted(granting)
        if source.startswith("blazar:") and source not in there
    ]
