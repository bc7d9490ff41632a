"""Bookings: created, amended, cancelled; recurring ones one by one, and the whole series."""

from __future__ import annotations

from uuid import UUID

from litestar import Controller
from litestar.params import JSONBody

from services.command.domain import (
    AmendBooking,
    AmendSeries,
    CancelBooking,
    CancelSeries,
    Command,
    CreateBooking,
    CreateExclusive,
    CreateSeries,
)
from services.command.recurrence import expand
from services.command.routes.fields import BookingInPath, SeriesInPath
from services.command.routes.headers import AnyRequest
from services.command.routes.operations import command_post
from services.command.routes.parsing import (
    basis_points,
    booked_template,
    capacity_of,
    changed_template,
    counts_of,
    hours_of,
    since_of,
)
from services.command.routes.requests import (
    AmendRequest,
    AmendSeriesRequest,
    BookingRequest,
    CancelSeriesRequest,
    ReasonRequest,
)
from services.command.routes.responses import Outcome
from services.command.routes.straight import Straight
from services.command.routes.submit import change, cluster_id, make, project_in, project_of
from shared.capacity import WHOLE, Capacity
from shared.errors import InvalidField
from shared.hours import Period, bare_date, parse_period, parse_zone
from shared.http.responses import EncodedResponse
from shared.ids import new_id


class Bookings(Controller):
    @command_post("/bookings/create", summary="Book capacity", middleware=[Straight])
    async def create_booking(self, request: AnyRequest, data: JSONBody[BookingRequest]) -> EncodedResponse[Outcome]:
        """Books capacity for an account, in every hour of a period: counts, a template, or a share of a cluster. Give
        one of the three. Counts with a `share` of 100% make a new cluster of that size in `project` and book all of it.

        With `rrule` the booking recurs. Each occurrence is a booking of its own. The answer lists in `occurrences` the
        id of each one, and in `series` the paths that amend or cancel all of them.

        Refused if there is too little capacity in an hour that may not be over-committed, if a limit of the account is
        exceeded, if the account is closed or not listed, and if shares together would be more than 100%. Where hours
        may be over-committed, the booking is tentative instead.
        """
        booking = new_id()
        project, command = booking_command(data, booking)
        return await make(request, data, project, command, booking)

    @command_post("/bookings/{booking:uuid}/amend", summary="Amend a booking")
    async def amend_booking(
        self, request: AnyRequest, booking: BookingInPath, data: JSONBody[AmendRequest]
    ) -> EncodedResponse[Outcome]:
        """Changes the start, the end or the amount of a booking, or of one occurrence of a series. A field that is left
        out stays as it is. Hours that have begun stay as they are.

        Refused like a new booking; also if the booking is over, or was cancelled, or has lapsed. 200 if it is so
        already.
        """
        start, end = hours_of(data)
        counts = counts_of(data)
        command = AmendBooking(
            booking=booking,
            template=changed_template(data, counts),
            counts=counts or None,
            start=start,
            end=end,
            share=basis_points(data.share),
        )
        return await change(request, data, project_of(request, booking, "booking"), command, str(booking))

    @command_post("/bookings/{booking:uuid}/cancel", summary="Cancel a booking")
    async def cancel_booking(
        self, request: AnyRequest, booking: BookingInPath, data: JSONBody[ReasonRequest | None] = None
    ) -> EncodedResponse[Outcome]:
        """Cancels a booking, or one occurrence of a series, from the next whole hour on. Hours that have begun stay
        booked.

        Refused if the booking is over. 200 if it was cancelled before, or has lapsed.
        """
        command = CancelBooking(booking=booking)
        project = project_of(request, booking, "booking")
        return await change(request, data or ReasonRequest(), project, command, str(booking))

    @command_post("/bookings/series/{series:uuid}/amend", summary="Amend a series")
    async def amend_series(
        self, request: AnyRequest, series: SeriesInPath, data: JSONBody[AmendSeriesRequest]
    ) -> EncodedResponse[Outcome]:
        """Changes the amount of a recurring booking: of all occurrences that have not begun, or of those that begin at
        `from` or later. All of these are changed, or none. Their times stay. To move one, amend that occurrence. To
        change the rule, cancel the series from a day on and book another.

        Refused like a new booking; also if no occurrence is left to amend.
        """
        counts = counts_of(data)
        command = AmendSeries(
            series=series,
            since=since_of(data),
            template=changed_template(data, counts),
            counts=counts or None,
            share=basis_points(data.share),
        )
        return await change(request, data, project_of(request, series, "series"), command, str(series))

    @command_post("/bookings/series/{series:uuid}/cancel", summary="Cancel a series")
    async def cancel_series(
        self, request: AnyRequest, series: SeriesInPath, data: JSONBody[CancelSeriesRequest | None] = None
    ) -> EncodedResponse[Outcome]:
        """Cancels a recurring booking: all occurrences, or those that begin at `from` or later. Occurrences that are
        over stay. One that has begun ends at the next whole hour.

        200 if nothing is left to cancel.
        """
        data = data or CancelSeriesRequest()
        command = CancelSeries(series=series, since=since_of(data))
        return await change(request, data, project_of(request, series, "series"), command, str(series))


def booking_command(data: BookingRequest, booking: UUID) -> tuple[str, Command]:
    """The project and the command of a new booking with this id. Raises InvalidField."""
    zone = parse_zone(data.tz)
    period, capacity = parse_period(data.startdate, data.enddate, zone), capacity_of(data)
    template = booked_template(data, capacity)
    share = basis_points(data.share) or 0
    if share and capacity:
        return _exclusive(data, booking, share, period, capacity)
    if data.name is not None:
        raise InvalidField("name", "only a booking that makes its own cluster (share 100% with counts) has a name")
    pool = _pool_of(data)
    command = CreateBooking(
        booking=booking,
        pool=pool,
        account=data.account,
        period=period,
        capacity=capacity,
        share=share,
        template=template,
    )
    if data.rrule is None:
        if data.skip:
            raise InvalidField("skip", "it belongs to an rrule; give one")
        return project_in(pool), command
    days = {"start_day": bare_date(data.startdate, "startdate"), "end_day": bare_date(data.enddate, "enddate")}
    periods = tuple(expand(data.rrule, period.start, period.end, zone, **days))
    series = CreateSeries(booking=command, periods=periods, rrule=data.rrule, timezone=data.tz, skip=data.skip)
    return project_in(pool), series


def _exclusive(
    data: BookingRequest, booking: UUID, share: int, period: Period, capacity: Capacity
) -> tuple[str, CreateExclusive]:
    """Counts and a share together: a new cluster that the booking has for itself."""
    if share != WHOLE or data.clusterid is not None or data.project is None:
        raise InvalidField(
            "share", "counts and a share together make a new cluster: give share 100% and a project, no clusterid"
        )
    if data.rrule is not None:
        raise InvalidField("rrule", "a booking that makes its own cluster does not recur; create the cluster first")
    command = CreateExclusive(
        booking=booking,
        cluster=cluster_id(data.project, data.name, booking),
        parent=data.project,
        account=data.account,
        period=period,
        capacity=capacity,
    )
    return data.project, command


def _pool_of(data: BookingRequest) -> str:
    """The project or cluster to book in."""
    if data.clusterid is None:
        if data.project is None:
            raise InvalidField("project", "give a project or a clusterid to book")
        return data.project
    if data.project is not None and project_in(data.clusterid) != data.project:
        raise InvalidField("project", f"{data.clusterid!r} is not in {data.project!r}; give one of the two")
    return data.clusterid
