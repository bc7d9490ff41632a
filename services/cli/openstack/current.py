"""The current state of a project in Hourbook: its templates, grants and clusters, folded from its events.

The events are read, not the read models. Events are visible at once after a write, and they have what no table has:
the grants of a source that were withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from shared.capacity import Capacity
from shared.events import Layout
from shared.hours import Period, hour_of
from shared.names import TEXT_MAX

# The types of the events that are read.
TYPES = (
    "ProjectCreated",
    "TemplateCreated",
    "GrantCreated",
    "GrantWithdrawn",
    "ClusterCreated",
    "ClusterResized",
    "ClusterResizeRequested",
    "ClusterResizeFailed",
)


# The reason of a template that was imported from flavors begins so; their ids follow. Clusters name flavors by id.
FLAVOR = "Nova flavor "
ID_SEPARATOR = ", "  # between the ids, when several flavors are one template
IDS_MAX = TEXT_MAX - len(FLAVOR)


class CurrentGrant(msgspec.Struct):
    """A grant, from `start` to `end` (hours). A withdrawal cuts `end`, perhaps to `start` or before it."""

    id: str
    source: str | None
    start: int
    end: int
    capacity: Capacity


class ClusterSize(msgspec.Struct, frozen=True):
    """The size of a cluster in some hours. `layout` None: it was not given as masters and workers."""

    period: Period
    capacity: Capacity
    layout: Layout | None


class CurrentCluster(msgspec.Struct):
    """A cluster. `sizes` are in the order of the events: the last one that covers an hour is valid in that hour."""

    id: str
    kind: str
    period: Period
    sizes: list[ClusterSize]
    pending: dict[str, ClusterSize] = {}

    def size_at(self, hour: int) -> ClusterSize:
        """The size in an hour. Its capacity is empty where the cluster has none."""
        covering = [size for size in self.sizes if size.period.start <= hour < size.period.end]
        return covering[-1] if covering else ClusterSize(Period(hour, hour + 1), Capacity(), None)


class CurrentState(msgspec.Struct):
    """A project. `name` None: it does not exist.

    `templates`: the newest version of each, by name. `flavors`: a template's name by the id of each of its flavors.
    """

    name: str | None = None
    templates: dict[str, Capacity] = {}
    flavors: dict[str, str] = {}
    grants: dict[str, CurrentGrant] = {}
    clusters: dict[str, CurrentCluster] = {}

    def granted_around(self, hour: int) -> Period | None:
        """The hours without a gap in which something is granted: around `hour`, else after it, else None."""
        runs: list[Period] = []
        for grant in sorted(self.grants.values(), key=lambda grant: grant.start):
            if grant.start >= grant.end:
                continue
            if runs and grant.start <= runs[-1].end:
                runs[-1] = Period(runs[-1].start, max(runs[-1].end, grant.end))
            else:
                runs.append(Period(grant.start, grant.end))
        return next((run for run in runs if run.end > hour), None)


class ProjectEvent(msgspec.Struct):
    """The members of an event that are read here."""

    type: str
    project: str
    name: str = ""
    reason: str | None = None
    template: str = ""
    grant: str = ""
    source: str | None = None
    cluster: str = ""
    kind: str = ""
    start: datetime | None = None
    end: datetime | None = None
    capacity: Capacity = Capacity()
    layout: Layout | None = None
    request: str | None = None

    def period(self) -> Period:
        """The event's period. Only events of grants and clusters have one."""
        assert self.start is not None
        assert self.end is not None
        return Period(hour_of(self.start), hour_of(self.end))


def fold(stored: Iterable[bytes | msgspec.Raw], current: CurrentState) -> CurrentState:
    """Adds the events of one project, in their order, to `current`."""
    for data in stored:
        apply_event(msgspec.json.decode(data, type=ProjectEvent), current)
    return current


def apply_event(event: ProjectEvent, current: CurrentState) -> None:
    match event.type:
        case "ProjectCreated":
            current.name = event.name
        case "TemplateCreated":
            current.templates[event.template] = event.capacity
            if event.reason is not None and event.reason.startswith(FLAVOR):
                for flavor in event.reason.removeprefix(FLAVOR).split(ID_SEPARATOR):
                    current.flavors[flavor] = event.template
        case "GrantCreated":
            period = event.period()
            current.grants[event.grant] = CurrentGrant(event.grant, event.source, *period, event.capacity)
        case "GrantWithdrawn":
            grant = current.grants[event.grant]
            grant.end = min(grant.end, event.period().start)
        case "ClusterCreated":
            size = ClusterSize(event.period(), event.capacity, event.layout)
            current.clusters[event.cluster] = CurrentCluster(event.cluster, event.kind, size.period, [size])
        case "ClusterResized":
            cluster = current.clusters[event.cluster]
            cluster.sizes.append(ClusterSize(event.period(), event.capacity, event.layout))
            cluster.pending.pop(event.request or "", None)
        case "ClusterResizeRequested":
            size = ClusterSize(event.period(), event.capacity, event.layout)
            current.clusters[event.cluster].pending[event.request or ""] = size
        case "ClusterResizeFailed":
            current.clusters[event.cluster].pending.pop(event.request or "", None)
        case _:
            pass
