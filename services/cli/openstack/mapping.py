"""All items of an import together: each is mapped by its kind, with the flavors and templates of the others at hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from services.cli.openstack.blazar import map_lease
from services.cli.openstack.document import Item
from services.cli.openstack.magnum import map_cluster, map_nodegroup, map_resize, map_templates
from services.cli.openstack.nova import map_flavors, map_quota
from services.cli.openstack.wanted import (
    Cluster,
    Given,
    Gone,
    Grants,
    Malformed,
    Resize,
    Result,
    Revoked,
    Template,
    Unmapped,
    Wanted,
)
from shared.capacity import Capacity

# Flavors go with each: they say how big an instance is.
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
    """The documents belong to several OpenStack projects, and nobody said whose are meant."""

    def __init__(self, owners: Sequence[str]) -> None:
        super().__init__(f"the documents belong to {len(owners)} OpenStack projects: {', '.join(owners)}")


def map_items(service: str, items: Iterable[Item], given: Given) -> Result:
    """What the items of one import come to, templates first. Raises SeveralOwners."""
    result = Result([], [], [])
    taken = list(ours(service, items, given, result))
    of_kind = {kind: [item for item in taken if item.kind == kind] for kind in KINDS[service]}
    templates, flavors = map_flavors(of_kind["flavor"], given)
    capacities = {template.name: template.capacity for template in templates.wanted if isinstance(template, Template)}
    sizes = {flavor: capacities[name] for flavor, name in flavors.items()}
    add(result, templates)
    clustertemplates_result, clustertemplates = map_templates(of_kind.get("clustertemplate", []))
    add(result, clustertemplates_result)
    for item in taken:
        if item.kind not in ("flavor", "clustertemplate"):
            add(result, mapped(item, given, flavors, sizes, clustertemplates))
    return result._replace(wanted=list(once(result)))


def mapped(
    item: Item, given: Given, flavors: dict[str, str], sizes: dict[str, Capacity], clustertemplates: dict[str, Any]
) -> Result:
    mappers = {
        "quota": partial(map_quota, item, given),
        "limits": partial(map_quota, item, given),
        "lease": partial(map_lease, item, given, sizes),
        "cluster": partial(map_cluster, item, given, flavors, clustertemplates),
        "resize": partial(map_resize, item, given),
        "nodegroup": partial(map_nodegroup, item),
    }
    try:
        return mappers[item.kind]()
    except Malformed as error:
        return Result([], [Unmapped(label_of(item), str(error))], [])


def ours(service: str, items: Iterable[Item], given: Given, result: Result) -> Iterable[Item]:
    """The items that this service answers and that belong to the project that is meant."""
    items = list(items)
    owners = sorted({owner for item in items if (owner := owner_of(item)) is not None})
    if given.owner is None and len(owners) > 1:
        raise SeveralOwners(owners)
    for item in items:
        owner = owner_of(item)
        if item.kind not in KINDS[service]:
            other = next((name for name, kinds in KINDS.items() if item.kind in kinds), None)
            why = f"that is for `hourbook import {other}`" if other else "alone it grants nothing; give its lease"
            result.unmapped.append(Unmapped(label_of(item), why))
        elif given.owner is not None and owner is not None and owner != given.owner:
            result.unmapped.append(Unmapped(label_of(item), f"it belongs to the OpenStack project {owner}"))
        else:
            yield item


def owner_of(item: Item) -> str | None:
    owner = item.data.get(OWNER.get(item.kind, "")) if isinstance(item.data, dict) else None
    return owner if isinstance(owner, str) and owner else None


def label_of(item: Item) -> str:
    name = None
    if isinstance(item.data, dict):
        name = item.data.get("name") or item.data.get("uuid") or item.data.get("id")
    return " ".join(filter(None, (LABELS.get(item.kind, item.kind), None if name is None else str(name))))


def add(result: Result, more: Result) -> None:
    result.wanted.extend(more.wanted)
    result.unmapped.extend(more.unmapped)
    result.notes.extend(more.notes)


def once(result: Result) -> Iterable[Wanted]:
    """Each thing once; what a second document says differently of it is not mapped."""
    seen: dict[tuple[str, str], Wanted] = {}
    for wanted in result.wanted:
        key = identity(wanted)
        if key not in seen:
            seen[key] = wanted
            yield wanted
        elif seen[key] != wanted:
            result.unmapped.append(Unmapped(key[1], "another of the documents says otherwise, and came first"))


def identity(wanted: Wanted) -> tuple[str, str]:
    match wanted:
        case Template() | Cluster() | Gone():
            return ("template" if isinstance(wanted, Template) else "cluster", wanted.name)
        case Grants() | Revoked():
            return ("source", wanted.source)
        case Resize():
            return ("resize", wanted.cluster)
