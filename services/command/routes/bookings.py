"""Bookings: created, amended, cancelled; recurring ones one by one, and the whole series."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from litestar.params import FromPath, JSONBody

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
from services.command.routes.requests import (
    AmendRequest,
    AmendSeriesRequest,
    BookingRequest,
    CancelSeriesRequest,
    ReasonRequest,
    basis_points,
    hours_of,
    since_of,
)
from services.command.routes.submit import AnyRequest, Commands, Decided, command_post, new_id, new_name, project_in
from shared.capacity import WHOLE
from shared.errors import InvalidField
from shared.hours import Period, bare_date, parse_period, parse_zone
from shared.http.responses import Encoded


class Bookings(Commands):
    @command_post("/bookings/create")
    async def create_booking(self, request: AnyRequest, data: JSONBody[BookingRequest]) -> Encoded[Decided]:
        """Books counts, a template, or a share, once or as often as `rrule` says.

        A recurring booking answers its occurrences, each with the id by which it alone is amended or cancelled, and in
        `series` the id of all and the paths that amend and cancel them together.
        """
        booking = new_id()
        command = command_of(data, booking)
        return await self.do(request, data, project_of(data), command, str(booking), booking)

    @command_post("/bookings/{booking:uuid}/amend")
    async def amend_booking(
        self, request: AnyRequest, booking: FromPath[UUID], data: JSONBody[AmendRequest]
    ) -> Encoded[Decided]:
        """Extends, shortens, moves or resizes what has not begun of a booking, or of one of a series."""
        start, end = hours_of(data)
        command = AmendBooking(
            booking=booking,
            template=data.wanted(),
            counts=data.counts() or None,
            start=start,
            end=end,
            share=None if data.share is None else basis_points(data.share),
        )
        project = partial(self.handler.project_of, booking, "id", "booking")
        return await self.do(request, data, project, command, str(booking))

    @command_post("/bookings/{booking:uuid}/cancel")
    async def cancel_booking(
        self, request: AnyRequest, booking: FromPath[UUID], data: JSONBody[ReasonRequest | None] = None
    ) -> Encoded[Decided]:
        """Gives back what has not begun of a booking, or of one of a series."""
        project = partial(self.handler.project_of, booking, "id", "booking")
        return await self.do(request, data or ReasonRequest(), project, CancelBooking(booking=booking), str(booking))

    @command_post("/bookings/series/{series:uuid}/amend")
    async def amend_series(
        self, request: AnyRequest, series: FromPath[UUID], data: JSONBody[AmendSeriesRequest]
    ) -> Encoded[Decided]:
        """Changes the counts, the template or the share of every occurrence of a recurring booking that has not begun:
        of all, or of those that begin at `from` or later. All of them are changed, or none. Their times stay; amend one
        occurrence to move it, or cancel the series from a day on and book another."""
        command = AmendSeries(
            series=series,
            since=since_of(data),
            template=data.wanted(),
            counts=data.counts() or None,
            share=None if data.share is None else basis_points(data.share),
        )
        project = partial(self.handler.project_of, series, "id", "series")
        return await self.do(request, data, project, command, str(series))

    @command_post("/bookings/series/{series:uuid}/cancel")
    async def cancel_series(
        self, request: AnyRequest, series: FromPath[UUID], data: JSONBody[CancelSeriesRequest | None] = None
    ) -> Encoded[Decided]:
        """Cancels a recurring booking: all of it, or the occurrences that begin at `from` or later. Those that are over
        stay; one that runs ends at the next whole hour. 200 where there is nothing left to cancel."""
        data = data or CancelSeriesRequest()
        project = partial(self.handler.project_of, series, "id", "series")
        return await self.do(request, data, project, CancelSeries(series=series, since=since_of(data)), str(series))


def command_of(data: BookingRequest, booking: UUID) -> Command:
    zone = parse_zone(data.tz)
    period, template, capacity = parse_period(data.startdate, data.enddate, zone), data.wanted(), data.capacity()
    share = 0 if data.share is None else basis_points(data.share)
    if share and capacity:
        return exclusive(data, booking, share, period)
    if data.name is not None:
        raise InvalidField("name", "only a booking that makes its own cluster (share 100% with counts) has a name")
    command = CreateBooking(
        booking=booking,
        pool=pool_of(data),
        account=data.account,
        period=period,
        capacity=capacity,
        share=share,
        template=template,
    )
    if data.rrule is None:
        if data.skip:
            raise InvalidField("skip", "it belongs to an rrule; give one")
        return command
    days = {"start_day": bare_date(data.startdate, "startdate"), "end_day": bare_date(data.enddate, "enddate")}
    periods = tuple(expand(data.rrule, period.start, period.end, zone, **days))
    return CreateSeries(booking=command, periods=periods, rrule=data.rrule, timezone=data.tz, skip=data.skip)


def exclusive(data: BookingRequest, booking: UUID, share: int, period: Period) -> CreateExclusive:
    """Counts and a share together mean a cluster that is not there yet."""
    if share != WHOLE or data.clusterid is not None or data.project is None:
        raise InvalidField(
            "share", "counts and a share together make a new cluster: give share 100% and a project, no clusterid"
        )
    if data.rrule is not None:
        raise InvalidField("rrule", "a booking that makes its own cluster does not recur; create the cluster first")
    cluster = f"{data.project}.{data.name or new_name(booking)}"
    return CreateExclusive(
        booking=booking,
        cluster=cluster,
        parent=data.project,
        account=data.account,
        period=period,
        capacity=data.capacity(),
    )


def project_of(data: BookingRequest) -> str:
    return project_in(pool_of(data))


def pool_of(data: BookingRequest) -> str:
    if data.clusterid is None:
        if data.project is None:
            raise InvalidField("project", "give a project or a clusterid to book")
        return data.project
    if data.project is not None and project_in(data.clusterid) != data.project:
        raise InvalidField("project", f"{data.clusterid!r} is not in {data.project!r}; give one of the two")
    return data.clusterid
