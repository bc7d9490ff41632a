"""Magnum: a cluster has masters and workers, each of a flavor. The flavors may be in its cluster template.

Since microversion 1.9 its nodes are in node groups: those of the default masters and the default workers, and others.

Until 2017 Magnum called clusters bays, and cluster templates baymodels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

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
from shared.capacity import NOTHING
from shared.events import Layout, NodeGroup
from shared.hours import hour_of

NODES_MAX = 1_000_000
UUID_DIGITS = 8
DIGITS = re.compile(r"[0-9a-f]{8}")
# Magnum's user guide: "The default is m1.small", for both flavors.
DEFAULT_FLAVOR = "m1.small"
MASTER_GROUPS, WORKER_GROUPS = ("default-master", "master"), ("default-worker", "worker", "")
GROUPS_MAX = 50  # as Hourbook takes them
# The states of a node group that has no nodes.
NO_NODES = ("DELETE_COMPLETE", "CREATE_FAILED")
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


class NodeGroupDocument(msgspec.Struct, frozen=True):
    """A node group, as Magnum answers it since microversion 1.9. `max_node_count` 0 or null is no bound."""

    name: str
    node_count: Amount
    uuid: str = ""
    cluster_id: str | None = None
    role: str = "worker"
    flavor_id: str | None = None
    is_default: bool = False
    status: str | None = None
    min_node_count: Amount | None = None
    max_node_count: Amount | None = None


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


class Context(NamedTuple):
    """What the documents of a cluster refer to: Hourbook's template for each flavor, by id and by name; the cluster
    templates by id and name; the node groups by the id of their cluster."""

    flavors: Mapping[str, str]
    templates: Mapping[str, ClusterTemplateDocument]
    groups: Mapping[str, Sequence[NodeGroupDocument]]


def map_cluster(item: Item, options: ImportOptions, context: Context) -> MappingResult:
    """The desired cluster. Raises Malformed."""
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
    layout = layout_of(document, options, context, notes)
    # A claim is rounded outwards: it begins with the hour in which Magnum created the cluster.
    made = None if document.created_at is None else hour_of(parse_time(document.created_at))
    state = "requested" if status in IN_PROGRESS else "failed" if status in FAILED else "applied"
    start = options.start if options.start is not None else made
    error = document.status_reason or status
    has_groups = document.uuid in context.groups
    return MappingResult([DesiredCluster(name, layout, start, options.end, state, error, has_groups)], [], notes)


def cluster_name(document: ClusterDocument) -> str:
    """Its name and the first digits of its UUID, because Magnum's names are not unique. Raises Malformed."""
    digits = digits_of(document.uuid)
    if not DIGITS.fullmatch(digits):
        raise Malformed(f"uuid: {document.uuid!r} is not a UUID")
    return f"{slug(document.name or '')[: 62 - UUID_DIGITS].strip('-') or 'magnum'}-{digits}"


def digits_of(uuid: str) -> str:
    """The first digits of a UUID, in lower case."""
    return uuid.replace("-", "")[:UUID_DIGITS].lower()


def layout_of(document: ClusterDocument, options: ImportOptions, context: Context, notes: list[Note]) -> Layout:
    """The cluster's layout, with templates of Hourbook as flavors. Adds notes. Raises Malformed."""
    default = flavors_of(document, options, context, notes)
    if document.uuid in context.groups:
        layout = layout_of_groups(context.groups[document.uuid], default, options, context.flavors)
    else:
        masters = 1 if document.master_count is None else document.master_count
        layout = Layout(
            masterflavor=known_flavor(default["master"], options, context.flavors),
            mastercount=masters,
            workerflavor=known_flavor(default["worker"], options, context.flavors),
            workercount=document.node_count,
        )
    counts = [layout.mastercount, layout.workercount, *(group.count for group in layout.groups)]
    if max(counts) > NODES_MAX:
        raise Malformed(f"it has more than {NODES_MAX} nodes")
    if sum(counts) == 0:
        raise Malformed("it has no nodes")
    return layout


def flavors_of(
    document: ClusterDocument, options: ImportOptions, context: Context, notes: list[Note]
) -> dict[str, str]:
    """The flavors of the masters and the workers of a cluster, as Magnum names them. Raises Malformed."""
    reference = document.cluster_template_id or document.baymodel_id or ""
    template = context.templates.get(reference)
    worker = document.flavor_id or (template and template.flavor_id) or options.flavor
    master = document.master_flavor_id or (template and template.master_flavor_id) or options.master_flavor
    named = all(group.flavor_id for group in context.groups.get(document.uuid, [])) and document.uuid in context.groups
    if template is None and not (worker and master) and not named:
        raise Malformed(
            f"it does not have its flavors, and its cluster template {reference!r} is in none of the files: give the "
            "document of the template too, or --flavor and --master-flavor"
        )
    label = f"cluster {document.name or document.uuid}"
    for role, flavor in (("workers", worker), ("masters", master)):
        if flavor is None and not named:
            notes.append(Note(label, f"its {role} have no flavor: {DEFAULT_FLAVOR} is taken, Magnum's default"))
    return {"master": master or DEFAULT_FLAVOR, "worker": worker or DEFAULT_FLAVOR}


def layout_of_groups(
    groups: Sequence[NodeGroupDocument], default: Mapping[str, str], options: ImportOptions, flavors: Mapping[str, str]
) -> Layout:
    """The layout that a cluster's node groups make: the default masters, the default workers, and the others.
    `default`: the flavor of a group that has none, by role. Raises Malformed."""

    def flavor(group: NodeGroupDocument | None, role: str) -> str:
        return known_flavor((group and group.flavor_id) or default[role], options, flavors)

    living = [group for group in groups if (group.status or "").upper() not in NO_NODES]
    masters = next((group for group in living if group.is_default and group.role == "master"), None)
    workers = next((group for group in living if group.is_default and group.role != "master"), None)
    others = [group for group in living if group is not masters and group is not workers]
    if len(others) > GROUPS_MAX:
        raise Malformed(f"it has more than {GROUPS_MAX} node groups")
    names = group_names(others)
    return Layout(
        masterflavor=flavor(masters, "master"),
        mastercount=masters.node_count if masters else 0,
        workerflavor=flavor(workers, "worker"),
        workercount=workers.node_count if workers else 0,
        workermin=workers.min_node_count if workers else None,
        workermax=(workers.max_node_count or None) if workers else None,
        groups=tuple(
            NodeGroup(
                name=name,
                role=template_name(group.role) or "worker",
                count=group.node_count,
                size=NOTHING,
                flavor=flavor(group, "master" if group.role == "master" else "worker"),
                min=group.min_node_count,
                max=group.max_node_count or None,
            )
            for name, group in zip(names, others, strict=True)
        ),
    )


def group_names(groups: Sequence[NodeGroupDocument]) -> list[str]:
    """A name in Hourbook for each group. Where two would have the same, they get digits."""
    plain = Counter(template_name(group.name) for group in groups)
    return [
        name if (name := template_name(group.name)) and plain[name] == 1 else unique_name(group.name or group.uuid)
        for group in groups
    ]


def map_nodegroups(items: Iterable[Item], result: MappingResult) -> dict[str, list[NodeGroupDocument]]:
    """The node groups by the id of their cluster. Adds those that name no cluster to `result.unmapped`, and one that
    is not valid: then the groups of its cluster are not known."""
    groups: dict[str, list[NodeGroupDocument]] = {}
    broken = set[str]()
    for item in items:
        data = item.data if isinstance(item.data, dict) else {}
        label = f"node group {data.get('name') or ''}".strip()
        try:
            group = converted(item.data, NodeGroupDocument)
        except Malformed as error:
            result.unmapped.append(Unmapped(label, str(error)))
            broken.add(str(data.get("cluster_id")))
            continue
        if group.cluster_id is None:
            why = "it does not name its cluster: give the document of the group alone, as Magnum answers it"
            result.unmapped.append(Unmapped(label, why))
        else:
            groups.setdefault(group.cluster_id, []).append(group)
    return {cluster: found for cluster, found in groups.items() if cluster not in broken}


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
    return MappingResult([ResizeRequest(options.cluster, None, document.node_count, template_name(group))], [], [])
