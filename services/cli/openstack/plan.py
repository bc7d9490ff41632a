"""Plans the steps from the current state to the desired state. A thing that is as desired needs no call."""

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
from services.cli.openstack.plan_grants import plan_ended_source, plan_grants
from services.cli.openstack.steps import Call, Step, count_fields
from shared.names import shown

Planned = Step | Unmapped


def plan(desired: Desired, current: CurrentState, options: ImportOptions, parent: str) -> list[Planned]:
    """The steps for one thing. `current` does not include their effect: read it again before the next thing."""
    match desired:
        case DesiredTemplate():
            return [plan_template(desired, current, options)]
        case DesiredGrants():
            return [plan_grants(desired, current, options)]
        case EndedSource():
            return plan_ended_source(desired, current, options)
        case DesiredCluster():
            return [plan_cluster(desired, current, options, parent)]
        case DeletedCluster():
            return plan_gone(desired, current, options, parent)
        case ResizeRequest():
            return [plan_resize(desired, current, options)]


def plan_template(desired: DesiredTemplate, current: CurrentState, options: ImportOptions) -> Step:
    """Creates the template, or its next version when the size has changed."""
    what, how = f"template {desired.name}", capacity_text(desired.capacity)
    before = current.templates.get(desired.name)
    if before == desired.capacity:
        return Step("there", what, how)
    # No key: creating the same version again changes nothing, and the sizes A, B, A must become three versions.
    body = {"project": options.project, "name": desired.name, **count_fields(desired.capacity)}
    fits_in_reason = 0 < len(desired.flavor) <= IDS_MAX and shown(desired.flavor) == desired.flavor
    call = Call("/templates/create", body | ({"reason": FLAVOR + desired.flavor} if fits_in_reason else {}))
    if before is None:
        return Step("created", what, how, (call,))
    return Step("changed", what, f"{how}; it was {capacity_text(before)}", (call,))


def missing_clusters(
    uuids: Iterable[str], current: CurrentState, options: ImportOptions, parent: str
) -> list[DeletedCluster]:
    """The imported clusters that still have a size, and whose UUID is not one of `uuids`."""
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
    """The leases with grants in the future that are not one of `sources`."""
    there = set(sources)
    granting = {grant.source for grant in current.grants.values() if grant.source and grant.end > options.now}
    return [
        EndedSource(source, f"lease {source.partition(':')[2]}")
        for source in sorted(granting)
        if source.startswith("blazar:") and source not in there
    ]
