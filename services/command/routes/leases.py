"""Reads what Blazar tells of a lease: its dates, and the reservations in it. Whatever is unclear refuses the lease."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.command.domain import LeaseAmount, TemplateCount
from services.command.lease_table import Lease
from shared.capacity import COUNT_MAX, Capacity
from shared.errors import InvalidField
from shared.hours import EARLIEST, LATEST, checked_period
from shared.names import TEXT_MAX, checked_name

HOST, FLOATING_IP = "physical:host", "virtual:floatingip"
HOSTS_MAX = 100_000  # of a lease that is changed
INSTANCES = ("virtual:instance", "flavor:instance")


class LeaseContext(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants the lease. Blazar tells more than this; Hourbook needs the project."""

    project_id: Annotated[str, Meta(description="The OpenStack project that the lease is for.")]


class BlazarLease(msgspec.Struct, frozen=True, kw_only=True):
    """A lease. Blazar tells more than this."""

    start_date: Annotated[str, Meta(description="When it starts; UTC if it has no offset.")]
    end_date: Annotated[str, Meta(description="When it ends; UTC if it has no offset.")]
    reservations: Annotated[
        list[dict[str, Any]], Meta(description="What it reserves, each with the hosts in `allocations`.")
    ]
    id: Annotated[str | None, Meta(description="Blazar's id of it; a new lease has none yet.")] = None
    name: Annotated[str | None, Meta(description="Its name.")] = None


WhoAsks = Annotated[LeaseContext, Meta(description="Who wants the lease.")]


class CheckRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What Blazar asks about one lease."""

    context: WhoAsks
    lease: Annotated[BlazarLease, Meta(description="The lease.")]


class CheckUpdateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What Blazar asks about a change of a lease. The new lease has only the reservations that change, each with its id
    and the fields that change."""

    context: WhoAsks
    current_lease: Annotated[BlazarLease, Meta(description="The lease as it is.")]
    lease: Annotated[BlazarLease, Meta(description="What it becomes.")]


def lease_of(context: LeaseContext, lease: BlazarLease, *, counts: bool = True) -> Lease:
    """The lease as it is told. Raises InvalidField for what Hourbook cannot count; without `counts`, such a lease has
    no amount: Hourbook has answered it before."""
    starts, ends = _instant(lease.start_date, "start_date"), _instant(lease.end_date, "end_date")
    made = Lease(
        openstack_project=checked_name(context.project_id, "project_id"),
        id=None if lease.id is None else checked_name(lease.id, "id"),
        name=(lease.name or "").replace("\0", "")[:TEXT_MAX],
        starts=starts,
        ends=ends,
        amount=amount_of(lease.reservations) if counts else _amount_if_clear(lease.reservations),
    )
    checked_period(made.period(), "end_date")
    return made


def changed_lease(context: LeaseContext, current: BlazarLease, new: BlazarLease) -> Lease:
    """The lease as it will be. Raises InvalidField."""
    changes = {_id_of(reservation): reservation for reservation in new.reservations}
    reservations = [reservation | changes.get(_id_of(reservation), {}) for reservation in current.reservations]
    _check_hosts(reservations)
    told = BlazarLease(
        start_date=new.start_date,
        end_date=new.end_date,
        reservations=[_as_many_hosts(one, changes.get(_id_of(one), {})) for one in reservations],
        id=current.id,
        name=new.name or current.name,
    )
    return lease_of(context, told)


def amount_of(reservations: Sequence[dict[str, Any]]) -> LeaseAmount:
    """What the reservations take together. Raises InvalidField."""
    counts, flavors = Capacity(), list[TemplateCount]()
    kinds = [reservation.get("resource_type") for reservation in reservations]
    _check_hosts(reservations)
    for kind, reservation in zip(kinds, reservations, strict=True):
        if kind == HOST:
            counts = _sum(counts, *_hosts(reservation))
        elif kind in INSTANCES:
            one = _instances(reservation)
            if isinstance(one, TemplateCount):
                flavors.append(one)
            else:
                counts = _sum(counts, one)
        elif kind != FLOATING_IP:  # an address is no capacity
            raise InvalidField("resource_type", f"Hourbook does not count {str(kind)[:TEXT_MAX]!r}")
    return LeaseAmount(capacity=counts, flavors=tuple(flavors))


def _check_hosts(reservations: Sequence[dict[str, Any]]) -> None:
    if sum(reservation.get("resource_type") == HOST for reservation in reservations) > 1:
        # Blazar gives the hosts of the last one to all reservations of a kind.
        raise InvalidField(
            "reservations", f"make one lease for each reservation of {HOST}: Blazar mixes up their hosts"
        )


def _id_of(reservation: dict[str, Any]) -> str | None:
    told = reservation.get("id")
    return told if isinstance(told, str) else None


def _amount_if_clear(reservations: Sequence[dict[str, Any]]) -> LeaseAmount:
    try:
        return amount_of(reservations)
    except InvalidField:
        return LeaseAmount()


def _instances(reservation: dict[str, Any]) -> Capacity | TemplateCount:
    """A number of instances: of a size that the reservation has, or of a flavor."""
    amount = _count(reservation, "amount")
    if reservation.get("vcpus") is None or reservation.get("memory_mb") is None:
        return TemplateCount(name=str(reservation.get("flavor_id")), count=amount)
    cores, memory = _count(reservation, "vcpus"), _count(reservation, "memory_mb")
    return Capacity(servers=amount, cores=amount * cores, memory=amount * memory)


def _hosts(reservation: dict[str, Any]) -> Iterable[Capacity]:
    """The hosts that Blazar would take."""
    hosts = reservation.get("allocations")
    if not isinstance(hosts, list) or not hosts:
        raise InvalidField("allocations", f"Blazar names no hosts for the reservation of {HOST}")
    return [Capacity(servers=1, cores=_count(host, "vcpus"), memory=_count(host, "memory_mb")) for host in hosts]


def _as_many_hosts(reservation: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A reservation whose number of hosts changes, with as many hosts as it may get. Blazar names those of before, so
    each counts like the largest of them."""
    hosts = reservation.get("allocations")
    if reservation.get("resource_type") != HOST or "max" not in change or not isinstance(hosts, list) or not hosts:
        return reservation
    largest = {name: max(_count(host, name) for host in hosts) for name in ("vcpus", "memory_mb")}
    if (most := _count(change, "max")) > HOSTS_MAX:
        raise InvalidField("max", f"{most} hosts are more than {HOSTS_MAX}")
    return reservation | {"allocations": [largest] * most}


def _sum(*capacities: Capacity) -> Capacity:
    """Raises InvalidField if a sum is too large."""
    servers, cores, memory, *_ = map(sum, zip(*(one.counts() for one in capacities), strict=True))
    if max(servers, cores, memory) > COUNT_MAX:
        raise InvalidField("reservations", f"they are more than {COUNT_MAX} of something together")
    return Capacity(servers=servers, cores=cores, memory=memory)


def _count(told: Any, name: str) -> int:
    """A number, which Blazar may tell as a text. Raises InvalidField."""
    value = told.get(name) if isinstance(told, dict) else None
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise InvalidField(name, f"{str(value)[:TEXT_MAX]!r} is not a number of at most twelve digits")
    return int(text)


def _instant(text: str, field: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidField(field, f"{text[:TEXT_MAX]!r} is no date and time") from None
    if not EARLIEST * 3600 <= instant.timestamp() <= LATEST * 3600:
        raise InvalidField(field, f"{text!r} lies outside 2000-01-01 .. 2100-01-01")
    return instant
