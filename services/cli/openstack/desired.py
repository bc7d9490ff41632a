"""What a document of OpenStack says should be in Hourbook, and what of it has no place there."""

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
    """A flavor, or several of one size. `flavor` is its id at Nova, or theirs with commas between them."""

    name: str
    capacity: Capacity
    flavor: str


class DesiredGrants(NamedTuple):
    """All that one source grants: a quota, or the reservations of a lease. `period` None: as long as it is known."""

    source: str
    name: str
    period: Period | None
    capacities: tuple[Capacity, ...]


class EndedSource(NamedTuple):
    """A source that grants nothing any more."""

    source: str
    name: str


class DesiredCluster(NamedTuple):
    """A Magnum cluster of this layout. `state`: applied, requested (the layout is being made), or failed."""

    name: str
    layout: Layout
    start: int | None
    end: int | None
    state: str
    error: str = ""


class DeletedCluster(NamedTuple):
    """A Magnum cluster that has been deleted."""

    name: str


class ResizeRequest(NamedTuple):
    """A resize request for a cluster of Hourbook's; None leaves a count as it is."""

    cluster: str
    masters: int | None
    workers: int | None


Desired = DesiredTemplate | DesiredGrants | EndedSource | DesiredCluster | DeletedCluster | ResizeRequest


class Unmapped(NamedTuple):
    """`what` is not in Hourbook, and `why`."""

    what: str
    why: str


class Note(NamedTuple):
    """`what` is in Hourbook, but not as it was written; `how` it is."""

    what: str
    how: str


class MappingResult(NamedTuple):
    """What some documents come to."""

    desired: list[Desired]
    unmapped: list[Unmapped]
    notes: list[Note]


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What cannot be read from the documents, and was said beside them.

    `now` is the next whole hour. `amounts` are of what Nova does not limit; `host` is what one physical host has;
    `owner` is the OpenStack project whose things are taken; `known` are the templates that the project has already, by
    the names and ids of flavors.
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
    """An item does not have what its kind has. The message says which part."""


def converted(data: Any, kind: type[T]) -> T:
    """The item as `kind`; numbers in quotes are numbers. Raises Malformed."""
    try:
        return msgspec.convert(data, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None


def template_name(name: str) -> str:
    """What a flavor's name becomes as the name of a template: other characters than A-Z a-z 0-9 . _ - are one dash."""
    return NOT_IN_A_TEMPLATE.sub("-", name).lstrip("._-")[:100].rstrip("-")


def unique_name(flavor: str) -> str:
    """A template's name that only this flavor has: where the other is another flavor's, which is of another size."""
    digits = blake2b(flavor.encode(), digest_size=3).hexdigest()
    return f"{template_name(flavor)[:90].rstrip('-') or 'flavor'}-{digits}"


def slug(name: str) -> str:
    return NOT_IN_A_SLUG.sub("-", name.lower()).strip("-")


def parse_time(text: str) -> datetime:
    """A date of OpenStack's; without an offset it is in UTC. Raises Malformed."""
    try:
        when = datetime.fromisoformat(text.strip())
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed(f"{text!r} is not a date that is in the calendar") from None


def whole_hours(start: datetime, end: datetime) -> Period:
    """The whole hours within: no more may be promised than is granted. Raises Malformed where there are none."""
    period = Period(next_hour(start), hour_of(end))
    if period.end <= period.start:
        raise Malformed(f"no whole hour lies between {start:%Y-%m-%dT%H:%M}Z and {end:%Y-%m-%dT%H:%M}Z")
    if not EARLIEST <= period.start < period.end <= LATEST:
        raise Malformed(f"{iso(period.start)} .. {iso(period.end)} lies outside 2000-01-01 .. 2100-01-01")
    if period.hours > PERIOD_HOURS_MAX:
        raise Malformed("it is longer than ten years, the most that a grant can be")
    return period


def sum_of(capacities: tuple[Capacity, ...]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*(capacity.counts() for capacity in capacities), strict=True)))


def capacity_text(capacity: Capacity) -> str:
    """`servers 2, cores 8, memory 4096`."""
    counts = zip(DIMENSIONS, capacity.counts(), strict=True)
    return ", ".join(f"{name} {count}" for name, count in counts if count) or "nothing"
