"""Time: whole UTC hours, counted from 1970-01-01T00:00Z, and half-open periods of them.

An instant that comes in carries an offset or Z and falls on a whole UTC hour. A bare date is allowed and is a day of
the reader's zone: as a start it is that day's first instant, which is its 00:00 unless the clocks skip that; as an end
it includes that day.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shared.errors import InvalidField

HOUR_S = 3600
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY = EPOCH.toordinal()
ONE_HOUR = timedelta(hours=1)
EARLIEST = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) // HOUR_S
LATEST = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) // HOUR_S
PERIOD_HOURS_MAX = 3653 * 24  # ten years

TZDATA = files("tzdata")
ZONE_MAX = 100  # characters of a name that an error repeats

DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|z|[+-]\d{2}:?\d{2})?", re.ASCII)
OFFSET_ZONE = re.compile(r"(Etc/)?GMT\+\d{1,2}", re.ASCII)
HOURS_GRAIN = re.compile(r"([1-9]\d{0,5})h", re.ASCII)
MONTHS = [  # the first hours of all that can be named, and of a few around
    (datetime(year, month, 1, tzinfo=UTC) - EPOCH) // ONE_HOUR for year in range(1970, 2112) for month in range(1, 13)
]
GRAINS = {
    "hour": "hour",
    "hourly": "hour",
    "day": "day",
    "daily": "day",
    "week": "week",
    "weekly": "week",
    "month": "month",
    "monthly": "month",
}


class Period(NamedTuple):
    """The hours `[start, end)`; touching periods share none."""

    start: int
    end: int

    @property
    def hours(self) -> int:
        return self.end - self.start


def hour_of(instant: datetime) -> int:
    """The hour that an aware instant lies in."""
    if instant.tzinfo is UTC:  # as in every event: a third of the time
        return (instant.toordinal() - EPOCH_DAY) * 24 + instant.hour
    return (instant - EPOCH) // ONE_HOUR


def instant_of(hour: int) -> datetime:
    """The UTC instant at which an hour starts."""
    return EPOCH + hour * ONE_HOUR


def iso(hour: int) -> str:
    """`2020-01-01T00:00:00Z`."""
    return instant_of(hour).strftime("%Y-%m-%dT%H:%M:%SZ")


def next_hour(now: datetime) -> int:
    """The first whole hour that has not begun at `now`; `now` itself if it falls on one."""
    return -((EPOCH - now) // ONE_HOUR)


def parse_zone(name: str, field: str = "tz") -> ZoneInfo:
    """An IANA zone. Raises InvalidField for a name that is none."""
    if name not in zone_names():
        right = next((zone for zone in zone_names() if zone.lower() == name.lower()), "Europe/London or UTC")
        said = f"{name[:ZONE_MAX]!r} is not an IANA time zone; give one like {right}"
        raise InvalidField(field, said + lost_plus(name, OFFSET_ZONE))
    return _zone(name)


@cache
def zone_names() -> frozenset[str]:
    """The zones that there are, the same on every machine: those of the tzdata package, and none of the files that a
    machine has beside them (`localtime`, `posixrules`, `right/…`). What has not been set up is at no place."""
    return frozenset((TZDATA / "zones").read_text().split()) - {"Factory"}


@cache
def _zone(name: str) -> ZoneInfo:
    with TZDATA.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def parse_instant(text: str, field: str, zone: ZoneInfo, *, is_end: bool = False) -> int:
    """The hour that `text` names. Raises InvalidField, which says what would be right."""
    if (day := bare_date(text, field)) is not None:
        hour = _midnight(day, zone) if not is_end else _midnight(_day_after(day, field), zone)
    elif match := INSTANT.fullmatch(text):
        if match.group(3) is None:
            raise InvalidField(field, f"{text!r} has no offset; end it with Z or an offset such as +01:00")
        instant = _read_datetime(text, field)
        hour, rest = divmod(instant - EPOCH, ONE_HOUR)
        if rest:
            raise InvalidField(field, f"{text!r} is not on a whole UTC hour; bookings start and end on whole hours")
    else:
        said = f"{text!r} is not a date (2020-06-08) or an instant (2020-06-08T09:00Z)"
        raise InvalidField(field, said + lost_plus(text))
    if not EARLIEST <= hour <= LATEST:
        raise InvalidField(field, f"{text!r} lies outside 2000-01-01 .. 2100-01-01")
    return hour


def bare_date(text: str, field: str) -> date | None:
    """The day that `text` names; None for an instant. Raises InvalidField for a day that is not in the calendar."""
    return _read_date(text, field) if DATE.fullmatch(text) else None


def lost_plus(text: str, wanted: re.Pattern[str] = INSTANT) -> str:
    """What to say of a text that would be right with a + for its last blank: so a + comes out of a URL unencoded."""
    if not wanted.fullmatch("+".join(text.rsplit(" ", 1))):
        return ""
    return "; an unencoded + in a URL is a blank: write %2B for it, or, at the end of an instant, Z"


def parse_period(start: str, end: str, zone: ZoneInfo, *, fields: tuple[str, str] = ("startdate", "enddate")) -> Period:
    """`[start, end)` from two texts; `fields` are the names that an error gives."""
    return _parse_period(start, end, zone, fields)


@lru_cache(maxsize=4096)  # many bookings begin and end alike
def _parse_period(start: str, end: str, zone: ZoneInfo, fields: tuple[str, str]) -> Period:
    period = Period(parse_instant(start, fields[0], zone), parse_instant(end, fields[1], zone, is_end=True))
    for hour in period:
        _check_offset(instant_of(hour).astimezone(zone))
    return checked_period(period, fields[1])


def checked_period(period: Period, field: str = "enddate") -> Period:
    """The period itself if it holds at least one hour and no more than ten years; else InvalidField."""
    if period.end <= period.start:
        raise InvalidField(field, f"the end {iso(period.end)} is not after the start {iso(period.start)}")
    if period.hours > PERIOD_HOURS_MAX:
        raise InvalidField(field, "the period is longer than ten years; split it")
    return period


def parse_range(text: str, zone: ZoneInfo, field: str = "range") -> Period:
    """`A,B`, each a date or an instant."""
    parts = text.split(",")
    if len(parts) != 2:
        raise InvalidField(field, f"{text!r} is not two dates or instants with a comma between them")
    return parse_period(parts[0].strip(), parts[1].strip(), zone, fields=(field, field))


def parse_grain(text: str, field: str = "grain") -> str | int:
    """`hour`, `day`, `week` or `month`, or a number of hours for a grain such as `168h`."""
    if named := GRAINS.get(text):
        return named
    if match := HOURS_GRAIN.fullmatch(text):
        return int(match.group(1))
    raise InvalidField(field, f"{text!r} is not hour, day, week, month or a number of hours such as 168h")


def block_starts(period: Period, grain: str | int, zone: ZoneInfo) -> list[int]:
    """The first hour of every block, in order; block i ends where block i+1 starts, the last at the period's end.

    Days, weeks (ISO, Monday) and months are the zone's; the first and last block are clipped to the period.
    """
    if grain == "hour":
        return list(range(period.start, period.end))
    if isinstance(grain, int):
        return list(range(period.start, period.end, grain))
    starts = [period.start]
    for day in _boundaries(period, grain, zone):
        hour = _midnight(day, zone)
        if hour >= period.end:
            break
        if hour > starts[-1]:
            starts.append(hour)
    return starts


def months_of(period: Period) -> list[Period]:
    """The calendar months (UTC) that the period touches, whole."""
    first, last = bisect_right(MONTHS, period.start) - 1, bisect_left(MONTHS, period.end)
    return [Period(start, end) for start, end in pairwise(MONTHS[first : last + 1])]


def _boundaries(period: Period, grain: str, zone: ZoneInfo) -> Iterator[date]:
    day = instant_of(period.start).astimezone(zone).date()
    if grain == "week":
        day -= timedelta(days=day.weekday())
    elif grain == "month":
        day = day.replace(day=1)
    while True:
        yield day
        if grain == "month":
            day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
        else:
            day += timedelta(days=7 if grain == "week" else 1)


def _midnight(day: date, zone: ZoneInfo) -> int:
    """The first hour of a local day. A midnight that the clocks skip is read with the offset before they do, and that
    is the instant at which they skip it: no zone skips a midnight and some time before it."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    _check_offset(local)
    return hour_of(local)


def _check_offset(local: datetime) -> None:
    """Raises InvalidField where the zone's clocks do not strike with UTC's."""
    offset = local.utcoffset()
    if offset is not None and offset % ONE_HOUR:
        said = f"the offset of {local.tzinfo} on {local:%Y-%m-%d} is not a whole hour; give a zone whose offset is"
        raise InvalidField("tz", said)


def _day_after(day: date, field: str) -> date:
    try:
        return day + timedelta(days=1)
    except OverflowError:
        raise InvalidField(field, f"{day} lies outside 2000-01-01 .. 2100-01-01") from None


def _read_date(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidField(field, f"{text!r} is not in the calendar: {error}") from None


def _read_datetime(text: str, field: str) -> datetime:
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise InvalidField(field, f"{text!r} is not in the calendar: {error}") from None
