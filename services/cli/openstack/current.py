"""What Hourbook has of a project: its templates, the grants of each source and its clusters, folded from its events.

The history is asked, not the read models: it says at once what was just written, and it says what an import needs and
no table has, such as the grants of a source that have been withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from shared.capacity import Capacity
from shared.events import Layout
from shared.hours import Period, hour_of
from shared.names import TEXT_MAX

# An event type is asked for by name; all others are of no concern here.
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


# The reason of a template that was made of a flavor, before the flavor's id: clusters may name it by that.
FLAVOR = "Nova flavor "
ID_SEPARATOR = ", "  # where several flavors are one template
IDS_MAX = TEXT_MAX - len(FLAVOR)


class CurrentGrant(msgspec.Struct):
    """`end` is where it was cut when it was withdrawn; then nothing may be left of it."""

    id: str
    source: str | None
    start: int
    end: int
    capacity: Capacity


class ClusterSize(msgspec.Struct, frozen=True):
    """What a cluster is made of in some hours. `layout` None: not said in masters and workers."""

    period: Period
    capacity: Capacity
    layout: Layout | None


class CurrentCluster(msgspec.Struct):
    """`sizes` in the order in which they were decided: of those that cover an hour, the last one holds."""

    id: str
    kind: str
    period: Period
    sizes: list[ClusterSize]
    pending: dict[str, ClusterSize] = {}

    def size_at(self, hour: int) -> ClusterSize:
        covering = [size for size in self.sizes if size.period.start <= hour < size.period.end]
        return covering[-1] if covering else ClusterSize(Period(hour, hour + 1), Capacity(), None)


class CurrentState(msgspec.Struct):
    """`templates` are the newest versions, `flavors` their names by the ids of the flavors that they were made of. A
    project that is not there has no name."""

    name: str | None = None
    templates: dict[str, Capacity] = {}
    flavors: dict[str, str] = {}
    grants: dict[str, CurrentGrant] = {}
    clusters: dict[str, CurrentCluster] = {}

    def granted_around(self, hour: int) -> Period | None:
        """The hours without a gap in which something is granted: those around `hour`, else the next to come."""
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
    """The members of an event that matter here."""

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
        assert self.start is not None
        assert self.end is not None
        return Period(hour_of(self.start), hour_of(self.end))


def fold(stored: Iterable[bytes | msgspec.Raw], current: CurrentState) -> CurrentState:
    """The events of one project, in their order."""
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
