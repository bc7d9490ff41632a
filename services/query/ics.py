"""Bookings as an iCalendar (RFC 5545), which calendar programs subscribe to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from icalendar import Calendar, Event

from shared.capacity import DIMENSIONS

PRODID = "-//Hourbook//Hourbook//EN"
HOST = "hourbook"  # of the UIDs: not this server's, which may be called otherwise tomorrow
REFRESH = timedelta(hours=1)
KEPT = 10_000  # events, of about half a kilobyte
SEQUENCE_MAX = 2**31 - 1
WHOLE = 10_000
UNITS = {"memory": "MiB memory", "tempdisc": "GiB tempdisc", "userdisc": "GiB userdisc", "datadisc": "GiB datadisc"}


class Booked(NamedTuple):
    """A segment of a booking. `share` is in basis points; `created` and `claimed` are the positions of the booking and
    of the decision on this segment, `created_at` and `claimed_at` when those were."""

    id: str
    segment: int
    pool: str
    starts: datetime
    ends: datetime
    counts: tuple[int, ...]
    share: int
    template: str | None
    template_version: int | None
    template_count: int | None
    account: str
    actor: str
    tentative: bool
    series: str | None
    created: int
    claimed: int
    created_at: datetime
    claimed_at: datetime


def render(name: str, booked: Iterable[Booked]) -> bytes:
    """A calendar of this name. The same bookings are the same bytes."""
    calendar = Calendar()
    calendar.add("PRODID", PRODID)
    calendar.add("VERSION", "2.0")
    calendar.add("METHOD", "PUBLISH")
    for calendar_name in ("NAME", "X-WR-CALNAME"):  # RFC 7986's, and what programs knew before
        calendar.add(calendar_name, name)
    calendar.add("REFRESH-INTERVAL", REFRESH, parameters={"VALUE": "DURATION"})
    head, end = bytes(calendar.to_ical()).split(b"END:VCALENDAR")
    return b"".join([head, *(rendered(one) for one in booked), b"END:VCALENDAR", end])


@lru_cache(maxsize=KEPT)
def rendered(booked: Booked) -> bytes:
    """Half a millisecond's work, and the same for ever: of a calendar that is asked for again, little has changed."""
    return bytes(event_of(booked).to_ical())


def event_of(booked: Booked) -> Event:
    """Its UID is the booking's for ever. SEQUENCE grows with each decision on it, which are as many as positions."""
    event = Event()
    event.add("UID", f"{booked.id}{f'-{booked.segment}' if booked.segment else ''}@{HOST}")
    event.add("DTSTAMP", utc(booked.claimed_at))
    event.add("CREATED", utc(booked.created_at))
    event.add("LAST-MODIFIED", utc(booked.claimed_at))
    event.add("SEQUENCE", min(booked.claimed - booked.created, SEQUENCE_MAX))
    event.add("DTSTART", utc(booked.starts))
    event.add("DTEND", utc(booked.ends))
    event.add("SUMMARY", f"{booked.account}: {amount(booked)}")
    event.add("LOCATION", booked.pool)
    event.add("DESCRIPTION", description(booked))
    event.add("STATUS", "TENTATIVE" if booked.tentative else "CONFIRMED")
    if booked.series is not None and booked.series != booked.id:
        event.add("RELATED-TO", f"{booked.series}@{HOST}")
    return event


def amount(booked: Booked) -> str:
    """`20% of gaia.spark`, `3 x small`, or `2 servers, 8 cores, 4096 MiB memory`."""
    if booked.share:
        return f"{booked.share / WHOLE:.2%} of {booked.pool}".replace(".00%", "%")
    if booked.template is not None:
        return f"{booked.template_count} x {booked.template}"
    return counted(booked)


def counted(booked: Booked) -> str:
    named = zip(DIMENSIONS, booked.counts, strict=True)
    return ", ".join(f"{count} {UNITS.get(dimension, dimension)}" for dimension, count in named if count)


def description(booked: Booked) -> str:
    lines = [f"{booked.account} has {amount(booked)} in {booked.pool}"]
    if booked.template is not None:
        lines.append(f"{booked.template}@{booked.template_version}, in all {counted(booked)}")
    if booked.tentative:
        lines.append("tentative: there is not enough of it yet")
    return "\n".join([*lines, f"booked by {booked.actor}", f"booking {booked.id}"])


def utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
