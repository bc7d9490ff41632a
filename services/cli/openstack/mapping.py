"""Maps all items of an import to the desired state. Items of one kind refer to flavors and templates of another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from services.cli.openstack.blazar import map_lease
from services.cli.openstack.desired import (
    DeletedCluster,
    Desired,
    DesiredCluster,
    DesiredGrants,
    DesiredTemplate,
    EndedSource,
    ImportOptions,
    Malformed,
    MappingResult,
    ResizeRequest,
    Unmapped,
)
from services.cli.openstack.document import Item
from services.cli.openstack.magnum import Context, map_cluster, map_cluster_templates, map_nodegroups, map_resize
from services.cli.openstack.nova import map_flavors, map_quota
from shared.capacity import Capacity

# The kinds of items that each service imports. All take flavors, which have the size of an instance.
KINDS = {
    "nova": {"quota", "limits", "flavor"},
    "blazar": {"lease", "flavor"},
    "magnum": {"cluster", "clustertemplate", "nodegroup", "resize", "flavor"},
}
OWNER = {"quota": "id", "lease": "project_id", "cluster": "project_id"}
LABELS = {
    "quota": "nova quota",
    "limits": "nova limits",
    "lease": "lease",
    "cluster": "cluster",
    "resize": "resize request",
    "reservation": "reservation",
}


class SeveralOwners(ValueError):
    """The documents belong to several OpenStack projects, and no option names one of them."""

    def __init__(self, owners: Sequence[str]) -> None:
        super().__init__(f"the documents belong to {len(owners)} OpenStack projects: {', '.join(owners)}")


def map_items(service: str, items: Iterable[Item], options: ImportOptions) -> MappingResult:
    """The desired state of all items of one import, templates first. Raises SeveralOwners."""
    result = MappingResult([], [], [])
    taken = list(items_of_project(service, items, options, result))
    of_kind = {kind: [item for item in taken if item.kind == kind] for kind in KINDS[service]}
    templates, flavors = map_flavors(of_kind["flavor"], options)
    capacities = {
        template.name: template.capacity for template in templates.desired if isinstance(template, DesiredTemplate)
    }
    sizes = {flavor: capacities[name] for flavor, name in flavors.items()}
    extend(result, templates)
    clustertemplates_result, clustertemplates = map_cluster_templates(of_kind.get("clustertemplate", []))
    extend(result, clustertemplates_result)
    context = Context(flavors, clustertemplates, map_nodegroups(of_kind.get("nodegroup", []), result))
    for item in taken:
        if item.kind not in ("flavor", "clustertemplate", "nodegroup"):
            extend(result, map_item(item, options, sizes, context))
    return result._replace(desired=list(without_duplicates(result)))


def map_item(item: Item, options: ImportOptions, sizes: dict[str, Capacity], context: Context) -> MappingResult:
    """The desired state of one item. An item that is not valid is unmapped, with the reason."""
    mappers = {
        "quota": partial(map_quota, item, options),
        "limits": partial(map_quota, item, options),
        "lease": partial(map_lease, item, options, sizes),
        "cluster": partial(map_cluster, item, options, context),
        "resize": partial(map_resize, item, options),
    }
    try:
        return mappers[item.kind]()
    except Malformed as error:
        return MappingResult([], [Unmapped(label_of(item), str(error))], [])


def items_of_project(
    service: str, items: Iterable[Item], options: ImportOptions, result: MappingResult
) -> Iterable[Item]:
    """The items of this service and of the options' OpenStack project. Adds the others to `result.unmapped`."""
    items = list(items)
    owners = sorted({owner for item in items if (owner := owner_of(item)) is not None})
    if options.owner is None and len(owners) > 1:
        raise SeveralOwners(owners)
    for item in items:
        owner = owner_of(item)
        if item.kind not in KINDS[service]:
            other = next((name for name, kinds in KINDS.items() if item.kind in kinds), None)
            why = f"import it with `hourbook import {other}`" if other else "alone it grants nothing: give its lease"
            result.unmapped.append(Unmapped(label_of(item), why))
        elif options.owner is not None and owner is not None and owner != options.owner:
            result.unmapped.append(Unmapped(label_of(item), f"it belongs to the OpenStack project {owner}"))
        else:
            yield item


def owner_of(item: Item) -> str | None:
    """The OpenStack project of an item, if the item has one."""
    owner = item.data.get(OWNER.get(item.kind, "")) if isinstance(item.data, dict) else None
    return owner if isinstance(owner, str) and owner else None


def label_of(item: Item) -> str:
    """The item in the report: its kind and its name."""
    name = None
    if isinstance(item.data, dict):
        name = item.data.get("name") or item.data.get("uuid") or item.data.get("id")
    return " ".join(filter(None, (LABELS.get(item.kind, item.kind), None if name is None else str(name))))


def extend(result: MappingResult, more: MappingResult) -> None:
    """Adds `more` to `result`."""
    result.desired.extend(more.desired)
    result.unmapped.extend(more.unmapped)
    result.notes.extend(more.notes)


def without_duplicates(result: MappingResult) -> Iterable[Desired]:
    """Each thing once. A second document that describes it differently is unmapped."""
    seen: dict[tuple[str, str], Desired] = {}
    for desired in result.desired:
        key = identity(desired)
        if key not in seen:
            seen[key] = desired
            yield desired
        elif seen[key] != desired:
            result.unmapped.append(Unmapped(key[1], "another document describes it differently, and came first"))


def identity(desired: Desired) -> tuple[str, str]:
    """The kind and the name of a thing."""
    match desired:
        case DesiredTemplate() | DesiredCluster() | DeletedCluster():
            return ("template" if isinstance(desired, DesiredTemplate) else "cluster", desired.name)
        case DesiredGrants() | EndedSource():
            return ("source", desired.source)
        case ResizeRequest():
            return ("resize", desired.cluster)
