"""Magnum: a cluster is masters and workers of some flavors; what it is made of may stand in its cluster template.

Bays and baymodels are what clusters and their templates were called until 2017.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from services.cli.openstack.desired import (
    Amount,
    DeletedCluster,
    DesiredCluster,
    ImportOptions,
    Malformed,
    MappingResult,
    Note,
    ResizeRequest,
    Unmapped,
    converted,
    parse_time,
    slug,
    template_name,
    unique_name,
)
from services.cli.openstack.document import Item
from shared.events import Layout
from shared.hours import hour_of

NODES_MAX = 1_000_000
UUID_DIGITS = 8
DIGITS = re.compile(r"[0-9a-f]{8}")
# "The default is m1.small", for either flavor, says Magnum's user guide.
DEFAULT_FLAVOR = "m1.small"
MASTER_GROUPS, WORKER_GROUPS = ("default-master", "master"), ("default-worker", "worker", "")
IN_PROGRESS = ("UPDATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
FAILED = ("UPDATE_FAILED", "ROLLBACK_FAILED")
UNMAPPED = {
    "CREATE_FAILED": "it was not made",
    "DELETE_IN_PROGRESS": "it is being deleted; it is given back when it is gone",
    "DELETE_FAILED": "nobody knows what is left of it",
}


class ClusterDocument(msgspec.Struct, frozen=True):
    uuid: str
    node_count: Amount
    master_count: Amount | None = None
    name: str | None = None
    status: str | None = None
    status_reason: str | None = None
    created_at: str | None = None
    cluster_template_id: str | None = None
    baymodel_id: str | None = None
    flavor_id: str | None = None
    master_flavor_id: str | None = None


class TemplateDocument(msgspec.Struct, frozen=True):
    uuid: str
    name: str | None = None
    flavor_id: str | None = None
    master_flavor_id: str | None = None


class ResizeDocument(msgspec.Struct, frozen=True):
    node_count: Amount
    nodegroup: str | None = None


def map_templates(items: Iterable[Item]) -> tuple[MappingResult, dict[str, TemplateDocument]]:
    """The cluster templates by id and name. They are no things of Hourbook's: clusters are made of them."""
    templates: dict[str, TemplateDocument] = {}
    result = MappingResult([], [], [])
    for item in items:
        try:
            template = converted(item.data, TemplateDocument)
        except Malformed as error:
            result.unmapped.append(Unmapped("a cluster template", str(error)))
            continue
        label = f"cluster template {template.name or template.uuid}"
        result.notes.append(Note(label, "nothing is made of it alone; its flavors are taken for its clusters"))
        templates[template.uuid] = template
        if template.name:
            templates.setdefault(template.name, template)
    return result, templates


def map_cluster(
    item: Item, options: ImportOptions, flavors: Mapping[str, str], templates: Mapping[str, TemplateDocument]
) -> MappingResult:
    """`flavors` are the templates of Hourbook's by the ids and names of flavors. Raises Malformed."""
    document = converted(item.data, ClusterDocument)
    label, name = f"cluster {document.name or document.uuid}", cluster_name(document)
    status = (document.status or "").upper()
    if status == "DELETE_COMPLETE":
        return MappingResult(
            [DeletedCluster(name)], [Unmapped(label, "its state is DELETE_COMPLETE: there is nothing left of it")], []
        )
    if status in UNMAPPED:
        reason = f" ({document.status_reason})" if document.status_reason else ""
        return MappingResult([], [Unmapped(label, f"its state is {status}{reason}: {UNMAPPED[status]}")], [])
    notes: list[Note] = []
    layout = layout_of(document, options, flavors, templates, notes)
    # What is claimed is rounded outwards: the hour in which the cluster was made is claimed whole.
    made = None if document.created_at is None else hour_of(parse_time(document.created_at))
    state = "requested" if status in IN_PROGRESS else "failed" if status in FAILED else "applied"
    start = options.start if options.start is not None else made
    error = document.status_reason or status
    return MappingResult([DesiredCluster(name, layout, start, options.end, state, error)], [], notes)


def cluster_name(document: ClusterDocument) -> str:
    """Its name and the beginning of its UUID: Magnum's names are not unique, and come again."""
    digits = digits_of(document.uuid)
    if not DIGITS.fullmatch(digits):
        raise Malformed(f"uuid: {document.uuid!r} is no UUID")
    return f"{slug(document.name or '')[: 62 - UUID_DIGITS].strip('-') or 'magnum'}-{digits}"


def digits_of(uuid: str) -> str:
    return uuid.replace("-", "")[:UUID_DIGITS].lower()


def layout_of(
    document: ClusterDocument,
    options: ImportOptions,
    flavors: Mapping[str, str],
    templates: Mapping[str, TemplateDocument],
    notes: list[Note],
) -> Layout:
    reference = document.cluster_template_id or document.baymodel_id or ""
    template = templates.get(reference)
    worker = document.flavor_id or (template and template.flavor_id) or options.flavor
    master = document.master_flavor_id or (template and template.master_flavor_id) or options.master_flavor
    if template is None and not (worker and master):
        raise Malformed(
            f"it does not say its flavors, and its cluster template {reference!r} is in none of the files: give its "
            "document too, or --flavor and --master-flavor"
        )
    label = f"cluster {document.name or document.uuid}"
    for role, flavor in (("workers", worker), ("masters", master)):
        if flavor is None:
            notes.append(Note(label, f"no flavor is said for its {role}: {DEFAULT_FLAVOR}, which is Magnum's default"))
    masters = 1 if document.master_count is None else document.master_count
    if max(masters, document.node_count) > NODES_MAX:
        raise Malformed(f"it has more than {NODES_MAX} nodes")
    if masters + document.node_count == 0:
        raise Malformed("it has no nodes")
    return Layout(
        masterflavor=known_flavor(master or DEFAULT_FLAVOR, options, flavors),
        mastercount=masters,
        workerflavor=known_flavor(worker or DEFAULT_FLAVOR, options, flavors),
        workercount=document.node_count,
    )


def known_flavor(flavor: str, options: ImportOptions, flavors: Mapping[str, str]) -> str:
    if template := flavors.get(flavor):
        return template
    known = (options.known.get(name) for name in (flavor, unique_name(flavor), template_name(flavor)))
    if template := next(filter(None, known), None):
        return template
    raise Malformed(
        f"its flavor {flavor!r} is no template of {options.project}: `hourbook import nova` the flavors first, or give "
        "their file too"
    )


def map_resize(item: Item, options: ImportOptions) -> MappingResult:
    """The body of a resize request, for the cluster that was named beside it. Raises Malformed."""
    document = converted(item.data, ResizeDocument)
    label, group = "resize request", document.nodegroup or ""
    if options.cluster is None:
        return MappingResult(
            [], [Unmapped(label, "it does not say of which cluster: give --cluster, an id of Hourbook's")], []
        )
    if document.node_count > NODES_MAX:
        raise Malformed(f"node_count is more than {NODES_MAX}")
    if group in MASTER_GROUPS:
        return MappingResult([ResizeRequest(options.cluster, document.node_count, None)], [], [])
    if group in WORKER_GROUPS or group == options.worker_group:
        return MappingResult([ResizeRequest(options.cluster, None, document.node_count)], [], [])
    why = (
        f"the node group {group!r} is neither the default masters nor the default workers, and a cluster has no others "
        f"here; if all its workers are in it, give --worker-group {group}"
    )
    return MappingResult([], [Unmapped(label, why)], [])


def map_nodegroup(item: Item) -> MappingResult:
    name: Any = item.data.get("name") if isinstance(item.data, dict) else None
    why = "a cluster here is masters and workers; its document counts the nodes of all its groups"
    return MappingResult([], [Unmapped(f"node group {name or ''}".strip(), why)], [])
