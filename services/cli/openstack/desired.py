"""The desired state: what Hourbook should contain according to OpenStack's documents."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from shared.capacity import DIMENSIONS, Capacity, Count
from shared.events import Layout
from shared.hours import EARLIEST, LATEST, PERIOD_HOURS_MAX, Period, hour_of, iso, next_hour

T = TypeVar("T")
NOT_IN_A_TEMPLATE = re.compile(r"[^A-Za-z0-9._-]+")
NOT_IN_A_SLUG = re.compile(r"[^a-z0-9]+")


class DesiredTemplate(NamedTuple):
    """A template of one or more flavors of the same size. `flavor`: their ids at Nova, with commas between them."""

    name: str
    capacity: Capacity
    flavor: str


class DesiredGrants(NamedTuple):
    """All grants of one source: a quota, or the reservations of a lease. `period` None: as before, or one year."""

    source: str
    name: str
    period: Period | None
    capacities: tuple[Capacity, ...]


class EndedSource(NamedTuple):
    """A source that grants nothing any more: its grants are withdrawn from now on."""

    source: str
    name: str


class DesiredCluster(NamedTuple):
    """A Magnum cluster with this layout. `state`: "applied", "requested" (Magnum is changing it) or "failed".

    `has_groups`: the node groups are known, and the layout has them. Else its workers are all workers of the cluster.
    """

    name: str
    layout: Layout
    start: int | None
    end: int | None
    state: str
    error: str = ""
    has_groups: bool = False


class DeletedCluster(NamedTuple):
    """A Magnum cluster that was deleted: it ends in Hourbook."""

    name: str


class ResizeRequest(NamedTuple):
    """A resize request for a cluster in Hourbook. None leaves a count as it is. With a `group`, the workers are those
    of this node group."""

    cluster: str
    masters: int | None
    workers: int | None
    group: str | None = None


Desired = DesiredTemplate | DesiredGrants | EndedSource | DesiredCluster | DeletedCluster | ResizeRequest


class Unmapped(NamedTuple):
    """A thing that cannot be imported, and `why`."""

    what: str
    why: str


class Note(NamedTuple):
    """A thing that was imported with a change. `how` describes the change."""

    what: str
    how: str


class MappingResult(NamedTuple):
    """The desired state that documents describe, and what could not be imported as it is."""

    desired: list[Desired]
    unmapped: list[Unmapped]
    notes: list[Note]


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The user's options, and other facts that are not in the documents.

    `now`: the next whole hour. `amounts`: counts of dimensions that Nova does not limit. `disc`: the dimension that a
    flavor's disc is counted as; None: it is not counted. `host`: the size of one physical host. `owner`: the
    OpenStack project whose things are imported; None: any. `known`: the project's templates by the names and ids of
    flavors.
    """

    project: str
    now: int
    start: int | None = None
    end: int | None = None
    amounts: dict[str, int] = {}
    disc: str | None = "tempdisc"
    host: Capacity = Capacity()
    owner: str | None = None
    flavor: str | None = None
    master_flavor: str | None = None
    worker_group: str | None = None
    cluster: str | None = None
    known: dict[str, str] = {}


Amount = Annotated[Count, "0 to 10^12"]


class Malformed(ValueError):
    """An item does not have the members of its kind. The message says which."""


def converted(data: Any, kind: type[T]) -> T:
    """The item as a `kind`. Numbers in quotes become numbers. Raises Malformed."""
    try:
        return msgspec.convert(data, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None


def template_name(name: str) -> str:
    """The template's name for a flavor: characters other than A-Z a-z 0-9 . _ - become one dash."""
    return NOT_IN_A_TEMPLATE.sub("-", name).lstrip("._-")[:100].rstrip("-")


def unique_name(flavor: str) -> str:
    """A template's name that only this flavor has. Used when a flavor of another size has the plain name."""
    digits = blake2b(flavor.encode(), digest_size=3).hexdigest()
    return f"{template_name(flavor)[:90].rstrip('-') or 'flavor'}-{digits}"


def slug(name: str) -> str:
    """The name in lower case; other characters than a-z and 0-9 become one dash."""
    return NOT_IN_A_SLUG.sub("-", name.lower()).strip("-")


def parse_time(text: str) -> datetime:
    """A time as OpenStack writes it. Without an offset it is in UTC. Raises Malformed."""
    try:
        when = datetime.fromisoformat(text.strip())
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed(f"{text!r} is not a date of the calendar") from None


def whole_hours(start: datetime, end: datetime) -> Period:
    """The whole hours between two times: a grant must not promise more. Raises Malformed when there are none."""
    period = Period(next_hour(start), hour_of(end))
    if period.end <= period.start:
        raise Malformed(f"no whole hour lies between {start:%Y-%m-%dT%H:%M}Z and {end:%Y-%m-%dT%H:%M}Z")
    if not EARLIEST <= period.start < period.end <= LATEST:
        raise Malformed(f"{iso(period.start)} .. {iso(period.end)} lies outside 2000-01-01 .. 2100-01-01")
    if period.hours > PERIOD_HOURS_MAX:
        raise Malformed("it is longer than ten years, the longest grant")
    return period


def sum_of(capacities: tuple[Capacity, ...]) -> tuple[int, ...]:
    """The sum of each dimension."""
    return tuple(map(sum, zip(*(capacity.counts() for capacity in capacities), strict=True)))


def capacity_text(capacity: Capacity) -> str:
    """The capacity as text: `servers 2, cores 8, memory 4096`."""
    counts = zip(DIMENSIONS, capacity.counts(), strict=True)
    return ", ".join(f"{name} {count}" for name, count in counts if count) or "nothing"
