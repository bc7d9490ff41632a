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


class Grant(msgspec.Struct):
    """`end` is where it was cut when it was withdrawn; then nothing may be left of it."""

    id: str
    source: str | None
    start: int
    end: int
    capacity: Capacity


class Size(msgspec.Struct, frozen=True):
    """What a cluster is made of in some hours. `layout` None: not said in masters and workers."""

    period: Period
    capacity: Capacity
    layout: Layout | None


class Cluster(msgspec.Struct):
    """`sizes` in the order in which they were decided: of those that cover an hour, the last one holds."""

    id: str
    kind: str
    period: Period
    sizes: list[Size]
    pending: dict[str, Size] = {}

    def size_at(self, hour: int) -> Size:
        covering = [size for size in self.sizes if size.period.start <= hour < size.period.end]
        return covering[-1] if covering else Size(Period(hour, hour + 1), Capacity(), None)


class Present(msgspec.Struct):
    """`templates` are the newest versions, `flavors` their names by the ids of the flavors that they were made of. A
    project that is not there has no name."""

    name: str | None = None
    templates: dict[str, Capacity] = {}
    flavors: dict[str, str] = {}
    grants: dict[str, Grant] = {}
    clusters: dict[str, Cluster] = {}

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


class Happened(msgspec.Struct):
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


def fold(stored: Iterable[bytes | msgspec.Raw], present: Present) -> Present:
    """The events of one project, in their order."""
    for data in stored:
        apply(msgspec.json.decode(data, type=Happened), present)
    return present


def apply(event: Happened, present: Present) -> None:
    match event.type:
        case "ProjectCreated":
            present.name = event.name
        case "TemplateCreated":
            present.templates[event.template] = event.capacity
            if event.reason is not None and event.reason.startswith(FLAVOR):
                for flavor in event.reason.removeprefix(FLAVOR).split(ID_SEPARATOR):
                    present.flavors[flavor] = event.template
        case "GrantCreated":
            period = event.period()
            present.grants[event.grant] = Grant(event.grant, event.source, *period, event.capacity)
        case "GrantWithdrawn":
            grant = present.grants[event.grant]
            grant.end = min(grant.end, event.period().start)
        case "ClusterCreated":
            size = Size(event.period(), event.capacity, event.layout)
            present.clusters[event.cluster] = Cluster(event.cluster, event.kind, size.period, [size])
        case "ClusterResized":
            cluster = present.clusters[event.cluster]
            cluster.sizes.append(Size(event.period(), event.capacity, event.layout))
            cluster.pending.pop(event.request or "", None)
        case "ClusterResizeRequested":
            size = Size(event.period(), event.capacity, event.layout)
            present.clusters[event.cluster].pending[event.request or ""] = size
        case "ClusterResizeFailed":
            present.clusters[event.cluster].pending.pop(event.request or "", None)
        case _:
            pass
