"""Bookings as an iCalendar (RFC 5545), for calendar programs that subscribe to a feed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from icalendar import Calendar, Event

from shared.capacity import DIMENSIONS, WHOLE

PRODID = "-//Hourbook//Hourbook//EN"
HOST = "hourbook"  # in the UIDs. Not the name of the server, which may change
REFRESH = timedelta(hours=1)
KEPT = 10_000  # encoded bookings, of about 500 bytes each
SEQUENCE_MAX = 2**31 - 1
UNITS = {"memory": "MiB memory", "tempdisc": "GiB tempdisc", "userdisc": "GiB userdisc", "datadisc": "GiB datadisc"}


class Booked(NamedTuple):
    """A segment of a booking. `share` is in basis points. `created` is the position of the booking's first event,
    `changed` that of the last event that changed this segment. `created_at` and `changed_at` are their instants."""

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
    changed: int
    created_at: datetime
    changed_at: datetime


class Note(NamedTuple):
    """An all-day event that says that bookings are missing in the calendar. Equal ids mean equal texts."""

    id: str
    day: date
    summary: str
    says: str


def render(name: str, booked: Sequence[Booked], notes: Sequence[Note] = ()) -> bytes:
    """The calendar `name`. Equal bookings and notes give equal bytes."""
    calendar = Calendar()
    calendar.add("PRODID", PRODID)
    calendar.add("VERSION", "2.0")
    calendar.add("METHOD", "PUBLISH")
    for calendar_name in ("NAME", "X-WR-CALNAME"):  # the property of RFC 7986, and an older one that programs know
        calendar.add(calendar_name, name)
    for description_name in ("DESCRIPTION", "X-WR-CALDESC") if notes else ():
        calendar.add(description_name, " ".join(note.says for note in notes))
    calendar.add("REFRESH-INTERVAL", REFRESH, parameters={"VALUE": "DURATION"})
    head, end = bytes(calendar.to_ical()).split(b"END:VCALENDAR")
    events = [rendered(one) for one in booked]
    if notes:
        newest = max(one.changed_at for one in booked)
        events += [bytes(event_of_note(note, newest).to_ical()) for note in notes]
    return b"".join([head, *events, b"END:VCALENDAR", end])


@lru_cache(maxsize=KEPT)
def rendered(booked: Booked) -> bytes:
    """The event as bytes, cached: it takes half a millisecond, and most bookings of a feed do not change."""
    return bytes(event_of(booked).to_ical())


def event_of(booked: Booked) -> Event:
    """The UID of a booking never changes. SEQUENCE is `changed` less `created`, so it grows with each change.
    LAST-MODIFIED and DTSTAMP are the instant of the last change. A calendar program updates an event when they grow."""
    event = Event()
    event.add("UID", f"{booked.id}{f'-{booked.segment}' if booked.segment else ''}@{HOST}")
    event.add("DTSTAMP", utc(booked.changed_at))
    event.add("CREATED", utc(booked.created_at))
    event.add("LAST-MODIFIED", utc(booked.changed_at))
    event.add("SEQUENCE", min(booked.changed - booked.created, SEQUENCE_MAX))
    event.add("DTSTART", utc(booked.starts))
    event.add("DTEND", utc(booked.ends))
    event.add("SUMMARY", f"{booked.account}: {amount(booked)}")
    event.add("LOCATION", booked.pool)
    event.add("DESCRIPTION", description(booked))
    event.add("STATUS", "TENTATIVE" if booked.tentative else "CONFIRMED")
    if booked.series is not None and booked.series != booked.id:
        event.add("RELATED-TO", f"{booked.series}@{HOST}")
    return event


def event_of_note(note: Note, stamp: datetime) -> Event:
    """An all-day event that does not make the reader busy (TRANSP)."""
    event = Event()
    event.add("UID", f"{note.id}@{HOST}")
    event.add("DTSTAMP", utc(stamp))
    event.add("DTSTART", note.day)
    event.add("SUMMARY", note.summary)
    event.add("DESCRIPTION", note.says)
    event.add("TRANSP", "TRANSPARENT")
    return event


def amount(booked: Booked) -> str:
    """The booked amount: `20% of gaia.spark`, `3 x small`, or `2 servers, 8 cores, 4096 MiB memory`."""
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
