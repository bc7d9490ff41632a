"""Magnum: a cluster has masters and workers, each of a flavor. The flavors may be in its cluster template.

Until 2017 Magnum called clusters bays, and cluster templates baymodels.
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
# Magnum's user guide: "The default is m1.small", for both flavors.
DEFAULT_FLAVOR = "m1.small"
MASTER_GROUPS, WORKER_GROUPS = ("default-master", "master"), ("default-worker", "worker", "")
IN_PROGRESS = ("UPDATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
FAILED = ("UPDATE_FAILED", "ROLLBACK_FAILED")
UNMAPPED = {
    "CREATE_FAILED": "Magnum did not create it",
    "DELETE_IN_PROGRESS": "Magnum is deleting it; it ends when it is deleted",
    "DELETE_FAILED": "Magnum does not say what is left of it",
}


class ClusterDocument(msgspec.Struct, frozen=True):
    """A cluster, as Magnum answers it."""

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


class ClusterTemplateDocument(msgspec.Struct, frozen=True):
    """A cluster template, as Magnum answers it."""

    uuid: str
    name: str | None = None
    flavor_id: str | None = None
    master_flavor_id: str | None = None


class ResizeDocument(msgspec.Struct, frozen=True):
    """The body of a resize request."""

    node_count: Amount
    nodegroup: str | None = None


def map_cluster_templates(items: Iterable[Item]) -> tuple[MappingResult, dict[str, ClusterTemplateDocument]]:
    """The cluster templates by id and name. Nothing is imported for them alone: clusters refer to them."""
    templates: dict[str, ClusterTemplateDocument] = {}
    result = MappingResult([], [], [])
    for item in items:
        try:
            template = converted(item.data, ClusterTemplateDocument)
        except Malformed as error:
            result.unmapped.append(Unmapped("a cluster template", str(error)))
            continue
        label = f"cluster template {template.name or template.uuid}"
        result.notes.append(Note(label, "nothing is imported for it alone; its clusters use its flavors"))
        templates[template.uuid] = template
        if template.name:
            templates.setdefault(template.name, template)
    return result, templates


def map_cluster(
    item: Item, options: ImportOptions, flavors: Mapping[str, str], templates: Mapping[str, ClusterTemplateDocument]
) -> MappingResult:
    """The desired cluster. `flavors`: Hourbook's template for each flavor, by id and by name. Raises Malformed."""
    document = converted(item.data, ClusterDocument)
    label, name = f"cluster {document.name or document.uuid}", cluster_name(document)
    status = (document.status or "").upper()
    if status == "DELETE_COMPLETE":
        return MappingResult(
            [DeletedCluster(name)], [Unmapped(label, "its state is DELETE_COMPLETE: it does not exist any more")], []
        )
    if status in UNMAPPED:
        reason = f" ({document.status_reason})" if document.status_reason else ""
        return MappingResult([], [Unmapped(label, f"its state is {status}{reason}: {UNMAPPED[status]}")], [])
    notes: list[Note] = []
    layout = layout_of(document, options, flavors, templates, notes)
    # A claim is rounded outwards: it begins with the hour in which Magnum created the cluster.
    made = None if document.created_at is None else hour_of(parse_time(document.created_at))
    state = "requested" if status in IN_PROGRESS else "failed" if status in FAILED else "applied"
    start = options.start if options.start is not None else made
    error = document.status_reason or status
    return MappingResult([DesiredCluster(name, layout, start, options.end, state, error)], [], notes)


def cluster_name(document: ClusterDocument) -> str:
    """Its name and the first digits of its UUID, because Magnum's names are not unique. Raises Malformed."""
    digits = digits_of(document.uuid)
    if not DIGITS.fullmatch(digits):
        raise Malformed(f"uuid: {document.uuid!r} is not a UUID")
    return f"{slug(document.name or '')[: 62 - UUID_DIGITS].strip('-') or 'magnum'}-{digits}"


def digits_of(uuid: str) -> str:
    """The first digits of a UUID, in lower case."""
    return uuid.replace("-", "")[:UUID_DIGITS].lower()


def layout_of(
    document: ClusterDocument,
    options: ImportOptions,
    flavors: Mapping[str, str],
    templates: Mapping[str, ClusterTemplateDocument],
    notes: list[Note],
) -> Layout:
    """The cluster's layout, with templates of Hourbook as flavors. Adds notes. Raises Malformed."""
    reference = document.cluster_template_id or document.baymodel_id or ""
    template = templates.get(reference)
    worker = document.flavor_id or (template and template.flavor_id) or options.flavor
    master = document.master_flavor_id or (template and template.master_flavor_id) or options.master_flavor
    if template is None and not (worker and master):
        raise Malformed(
            f"it does not have its flavors, and its cluster template {reference!r} is in none of the files: give the "
            "document of the template too, or --flavor and --master-flavor"
        )
    label = f"cluster {document.name or document.uuid}"
    for role, flavor in (("workers", worker), ("masters", master)):
        if flavor is None:
            notes.append(Note(label, f"its {role} have no flavor: {DEFAULT_FLAVOR} is taken, Magnum's default"))
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
    """Hourbook's template for a flavor: of this import, else of the project. Raises Malformed."""
    if template := flavors.get(flavor):
        return template
    known = (options.known.get(name) for name in (flavor, unique_name(flavor), template_name(flavor)))
    if template := next(filter(None, known), None):
        return template
    raise Malformed(
        f"its flavor {flavor!r} is not a template of {options.project}: import the flavors with `hourbook import nova` "
        "first, or give their file too"
    )


def map_resize(item: Item, options: ImportOptions) -> MappingResult:
    """The body of a resize request, for the cluster of --cluster. Raises Malformed."""
    document = converted(item.data, ResizeDocument)
    label, group = "resize request", document.nodegroup or ""
    if options.cluster is None:
        return MappingResult(
            [], [Unmapped(label, "it does not name its cluster: give --cluster, the id in Hourbook")], []
        )
    if document.node_count > NODES_MAX:
        raise Malformed(f"node_count is more than {NODES_MAX}")
    if group in MASTER_GROUPS:
        return MappingResult([ResizeRequest(options.cluster, document.node_count, None)], [], [])
    if group in WORKER_GROUPS or group == options.worker_group:
        return MappingResult([ResizeRequest(options.cluster, None, document.node_count)], [], [])
    why = (
        f"the node group {group!r} is not that of the default masters or of the default workers, and Hourbook has "
        f"no other groups; if it has all workers of the cluster, give --worker-group {group}"
    )
    return MappingResult([], [Unmapped(label, why)], [])


def map_nodegroup(item: Item) -> MappingResult:
    """A node group alone is never imported."""
    name: Any = item.data.get("name") if isinstance(item.data, dict) else None
    why = "a cluster in Hourbook has masters and workers; the document of the cluster has the counts"
    return MappingResult([], [Unmapped(f"node group {name or ''}".strip(), why)], [])
