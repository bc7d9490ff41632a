"""Blazar: a lease becomes grants with the source `blazar:<lease id>`, one for each of its reservations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from services.cli.openstack.desired import (
    Amount,
    DesiredGrants,
    EndedSource,
    ImportOptions,
    Malformed,
    MappingResult,
    Note,
    Unmapped,
    capacity_text,
    converted,
    parse_time,
    whole_hours,
)
from services.cli.openstack.document import Item
from services.cli.openstack.nova import Flavor
from shared.capacity import COUNT_MAX, DIMENSIONS, Capacity, capacity_of
from shared.hours import Period, hour_of, instant_of, iso

# The states of a lease that grants something, and of a lease that has ended: grants of an earlier import are withdrawn.
# A lease in any other state is left alone.
GRANTING = {"PENDING", "ACTIVE", "STARTING", "UPDATING", ""}
OVER = {"TERMINATED", "TERMINATING", "DELETING", "DELETED"}
DEAD_RESERVATIONS = {"error", "deleted", "deleting", "terminated"}
HOST_PROPERTIES = {"vcpus": "cores", "memory_mb": "memory", "local_gb": "tempdisc"}
NUMBER = re.compile(r"\d{1,12}", re.ASCII)
AT_LEAST = {">=": 0, "==": 0, "=": 0, ">": 1}


class Lease(msgspec.Struct, frozen=True):
    """A lease, as Blazar answers it."""

    id: str
    start_date: str
    end_date: str
    reservations: list[dict[str, Any]]
    name: str | None = None
    status: str | None = None


class Reservation(msgspec.Struct, frozen=True):
    """A reservation: `amount` instances of `vcpus`, `memory_mb` (MiB) and `disk_gb` (GiB), or `min` to `max` hosts."""

    resource_type: str
    id: str = ""
    status: str | None = None
    amount: Amount = 0
    vcpus: Amount | None = None
    memory_mb: Amount | None = None
    disk_gb: Amount | None = None
    min: Amount = 0
    max: Amount = 0
    flavor_id: str | None = None
    hypervisor_properties: Any = None
    resource_properties: Any = None
    missing_resources: bool | None = False


def map_lease(item: Item, options: ImportOptions, flavors: Mapping[str, Capacity]) -> MappingResult:
    """The grants of a lease. `flavors`: the size of each flavor, by its id and by its name. Raises Malformed."""
    lease = converted(item.data, Lease)
    name, source = f"lease {lease.name or lease.id}", f"blazar:{lease.id}"
    status = (lease.status or "").upper()
    if status in OVER:
        return MappingResult(
            [EndedSource(source, name)], [Unmapped(name, f"its state is {status}: it grants nothing any more")], []
        )
    if status not in GRANTING:
        return MappingResult([], [Unmapped(name, f"its state is {status}: it grants nothing, or not yet")], [])
    start, end = parse_time(lease.start_date), parse_time(lease.end_date)
    period = whole_hours(start, end)
    notes = list(narrowed(name, period, instant_of(hour_of(start)) != start or instant_of(hour_of(end)) != end))
    capacities, unmapped = [], []
    for number, data in enumerate(lease.reservations, 1):
        label = f"{name}, reservation {data.get('id') or number}"
        try:
            reservation = converted(data, Reservation)
            capacities.append(capacity_in(reservation, options, flavors))
        except Malformed as error:
            unmapped.append(Unmapped(label, str(error)))
            continue
        if reservation.missing_resources:
            notes.append(Note(label, "it is granted, although Blazar answers that resources are missing"))
    if not lease.reservations:
        unmapped.append(Unmapped(name, "it has no reservations"))
    desired = [DesiredGrants(source, name, period, tuple(capacities))] if capacities else []
    return MappingResult([*desired], unmapped, notes)


def narrowed(name: str, period: Period, is_narrowed: bool) -> Iterator[Note]:
    """A note when the lease does not begin and end on whole hours."""
    if is_narrowed:
        yield Note(name, f"only its whole hours are granted: {iso(period.start)} .. {iso(period.end)}")


def capacity_in(reservation: Reservation, options: ImportOptions, flavors: Mapping[str, Capacity]) -> Capacity:
    """What a reservation grants. Raises Malformed, with the reason, when it grants nothing that Hourbook counts."""
    if (reservation.status or "").lower() in DEAD_RESERVATIONS:
        raise Malformed(f"its state is {reservation.status}")
    match reservation.resource_type:
        case "virtual:instance" | "flavor:instance":
            if reservation.amount == 0:
                raise Malformed("its amount is 0 or missing")
            return times(reservation.amount, instance(reservation, flavors))
        case "physical:host":
            if reservation.min == 0:
                raise Malformed("its min is 0 or missing: no host is guaranteed")
            return times(reservation.min, host(reservation, options))
        case other:
            raise Malformed(f"Hourbook does not count {other!r}")


def instance(reservation: Reservation, flavors: Mapping[str, Capacity]) -> Capacity:
    """The size of one instance. Takes the flavor's properties where Blazar kept them: they include all discs."""
    kept = properties_of(reservation.resource_properties)
    if reservation.resource_type == "flavor:instance" and isinstance(kept, dict) and "vcpus" in kept:
        flavor = converted({"name": "", **kept}, Flavor)
        return Capacity(servers=1, cores=flavor.vcpus, memory=flavor.ram, tempdisc=flavor.disc())
    if reservation.vcpus is not None and reservation.memory_mb is not None:
        return Capacity(
            servers=1, cores=reservation.vcpus, memory=reservation.memory_mb, tempdisc=reservation.disk_gb or 0
        )
    if reservation.flavor_id is None:
        raise Malformed("it has neither vcpus and memory_mb nor a flavor_id")
    if (capacity := flavors.get(reservation.flavor_id)) is None:
        raise Malformed(f"its flavor {reservation.flavor_id!r} is not known: give the file of the flavors too")
    return capacity


def host(reservation: Reservation, options: ImportOptions) -> Capacity:
    """The size of one host: the --host- options, and for the rest the least that the reservation asks of a host."""
    counts = {"servers": 1}
    for properties in (reservation.hypervisor_properties, reservation.resource_properties):
        for dimension, least in at_least(properties_of(properties)):
            counts[dimension] = max(least, counts.get(dimension, 0))
    counts |= {name: count for name, count in zip(DIMENSIONS, options.host.counts(), strict=True) if count}
    missing = [name for name in ("cores", "memory") if name not in counts]
    if missing:
        known = capacity_text(Capacity(**counts))
        flags = " and ".join(f"--host-{name}" for name in missing)
        raise Malformed(f"it does not have the size of a host ({known} at least): give {flags}")
    return Capacity(**counts)


def properties_of(text: Any) -> Any:
    """The JSON in a text, as Blazar stores properties. None when it is not JSON; another value as it is."""
    if not isinstance(text, str) or not text.strip():
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def at_least(condition: Any) -> Iterator[tuple[str, int]]:
    """The least that a condition asks, as (dimension, count): of `[">=", "$vcpus", "4"]`, or an `and` of such."""
    if not isinstance(condition, list) or not condition:
        return
    if condition[0] == "and":
        for part in condition[1:]:
            yield from at_least(part)
    elif len(condition) == 3 and condition[0] in AT_LEAST:
        _, name, value = condition
        dimension = HOST_PROPERTIES.get(str(name).removeprefix("$"))
        if dimension and NUMBER.fullmatch(str(value)):
            yield dimension, int(value) + AT_LEAST[condition[0]]


def times(count: int, capacity: Capacity) -> Capacity:
    """`count` times the capacity. Raises Malformed when a count is too large."""
    counts = [count * each for each in capacity.counts()]
    if max(counts) > COUNT_MAX:
        raise Malformed(f"{count} times {capacity_text(capacity)} is more than {COUNT_MAX} of something")
    return capacity_of(counts)
