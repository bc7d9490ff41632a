"""From the fields of a body to the values of a command. Each function raises InvalidField, which names the field."""

from __future__ import annotations

from services.command.domain import LayoutChange, TemplateCount
from services.command.routes.layouts import flavor_groups, given
from services.command.routes.requests import (
    AmendRequest,
    AmendSeriesRequest,
    BookingRequest,
    CancelSeriesRequest,
    CapacityRequest,
    ChangeRequest,
    ClusterRequest,
    GrantRequest,
    MagnumRequest,
    MagnumResizeRequest,
    ResizeRequest,
)
from shared.capacity import DIMENSIONS, Capacity, checked_share, percentage
from shared.errors import InvalidField
from shared.hours import Period, parse_instant, parse_period, parse_zone

ONE_AMOUNT = "give one of counts, a template and a share, not two of them"


def capacity_of(data: CapacityRequest) -> Capacity:
    """The counts of a body; those that are left out are 0."""
    return Capacity(
        servers=data.servers,
        cores=data.cores,
        memory=data.memory,
        tempdisc=data.tempdisc,
        userdisc=data.userdisc,
        datadisc=data.datadisc,
    )


def counts_of(data: ChangeRequest) -> dict[str, int]:
    """The counts that are given, zeros among them, by dimension."""
    given = {dimension: getattr(data, dimension) for dimension in DIMENSIONS}
    return {dimension: count for dimension, count in given.items() if count is not None}


def period_of(data: GrantRequest | ClusterRequest | MagnumRequest) -> Period:
    return parse_period(data.startdate, data.enddate, parse_zone(data.tz))


def hours_of(data: ResizeRequest | MagnumResizeRequest | AmendRequest) -> tuple[int | None, int | None]:
    """The hours of `startdate` and `enddate`; None where it is left out."""
    zone = parse_zone(data.tz)
    start = None if data.startdate is None else parse_instant(data.startdate, "startdate", zone)
    return start, None if data.enddate is None else parse_instant(data.enddate, "enddate", zone, is_end=True)


def since_of(data: AmendSeriesRequest | CancelSeriesRequest) -> int | None:
    """The hour of `from`; None where it is left out."""
    zone = parse_zone(data.tz)
    return None if data.since is None else parse_instant(data.since, "from", zone)


def booked_template(data: BookingRequest, capacity: Capacity) -> TemplateCount | None:
    """The template of a new booking, if there is one; `capacity` are its counts. Refuses two amounts at once, but for a
    share with counts, which makes a cluster."""
    ways = [data.template is not None, data.share is not None, bool(capacity)]
    if sum(ways) > 1 and not (data.share is not None and data.template is None):
        raise InvalidField("template", ONE_AMOUNT)
    return _template(data)


def changed_template(data: ChangeRequest, counts: dict[str, int]) -> TemplateCount | None:
    """The template of a change, if there is one; `counts` are those that are given. Refuses two amounts at once."""
    if sum((data.template is not None, data.share is not None, bool(counts))) > 1:
        raise InvalidField("template" if data.template is not None else "share", ONE_AMOUNT)
    return _template(data)


def _template(data: BookingRequest | ChangeRequest) -> TemplateCount | None:
    if data.template is None:
        if data.count != 1 or data.template_version is not None:
            field = "count" if data.count != 1 else "template_version"
            raise InvalidField(field, "it belongs to a template; name one")
        return None
    return TemplateCount(name=data.template, count=data.count, version=data.template_version)


def basis_points(share: str | int | None) -> int | None:
    """`"12.5%"` is 1250, as is 1250; None where it is left out."""
    if share is None:
        return None
    return checked_share(percentage(share.strip()) if isinstance(share, str) else share, share)


def magnum_layout(data: MagnumRequest | MagnumResizeRequest) -> LayoutChange:
    """The flavors and counts of a Magnum cluster; None where they are left out."""
    return LayoutChange(
        masterflavor=data.masterflavor,
        mastercount=data.mastercount,
        workerflavor=data.workerflavor,
        workercount=data.workercount,
        workermin=given(data.workermin),
        workermax=given(data.workermax),
        groups=flavor_groups(given(data.groups)),
    )
