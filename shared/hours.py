"""Time: whole UTC hours, and half-open periods of them. An hour is the integer number of hours since 1970-01-01T00:00Z.

An instant in a request has an offset or Z, and is a whole UTC hour. A request may also have a date without a time. The
date is a day of the request's time zone. As a start, it means the first instant of that day: 00:00, or the first
instant after it if the clocks skip 00:00. As an end, it includes that day.
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
OCCURRENCES_MAX = 500  # of a recurring booking

TZDATA = files("tzdata")
ZONE_MAX = 100  # an error repeats this many characters of a zone's name

DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|z|[+-]\d{2}:?\d{2})?", re.ASCII)
OFFSET_ZONE = re.compile(r"(Etc/)?GMT\+\d{1,2}", re.ASCII)
HOURS_GRAIN = re.compile(r"([1-9]\d{0,5})h", re.ASCII)
MONTHS = [  # the first hour of each month that a request may name, and of some months before and after
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
    """The hours from `start` up to, and without, `end`. Two periods that touch have no hour in common."""

    start: int
    end: int

    @property
    def hours(self) -> int:
        return self.end - self.start


def hour_of(instant: datetime) -> int:
    """The hour that contains an instant. The instant must have a time zone."""
    if instant.tzinfo is UTC:  # every event's instant: this takes a third of the time
        return (instant.toordinal() - EPOCH_DAY) * 24 + instant.hour
    return (instant - EPOCH) // ONE_HOUR


def instant_of(hour: int) -> datetime:
    """The UTC instant at which an hour starts."""
    return EPOCH + hour * ONE_HOUR


@lru_cache(maxsize=8192)
def iso(hour: int) -> str:
    """The start of an hour as text: `2020-01-01T00:00:00Z`."""
    return instant_of(hour).strftime("%Y-%m-%dT%H:%M:%SZ")


def next_hour(now: datetime) -> int:
    """The first hour that starts at `now` or later."""
    return -((EPOCH - now) // ONE_HOUR)


def parse_zone(name: str, field: str = "tz") -> ZoneInfo:
    """The IANA time zone with this name. Raises InvalidField for an unknown name; the error suggests one."""
    if name not in zone_names():
        right = next((zone for zone in zone_names() if zone.lower() == name.lower()), "Europe/London or UTC")
        said = f"{name[:ZONE_MAX]!r} is not an IANA time zone; give one like {right}"
        raise InvalidField(field, said + unencoded_plus_hint(name, OFFSET_ZONE))
    return _zone(name)


@cache
def zone_names() -> frozenset[str]:
    """The names of all time zones. They come from the tzdata package, so every machine has the same ones. The machine's
    own files (`localtime`, `posixrules`, `right/…`) do not count, and neither does `Factory`, which means "not set"."""
    return frozenset((TZDATA / "zones").read_text().split()) - {"Factory"}


@cache
def _zone(name: str) -> ZoneInfo:
    with TZDATA.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def parse_instant(text: str, field: str, zone: ZoneInfo, *, is_end: bool = False) -> int:
    """The hour that `text` names: a date or an instant. Raises InvalidField, which says what is right."""
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
        raise InvalidField(field, said + unencoded_plus_hint(text))
    if not EARLIEST <= hour <= LATEST:
        raise InvalidField(field, f"{text!r} lies outside 2000-01-01 .. 2100-01-01")
    return hour


def bare_date(text: str, field: str) -> date | None:
    """The date if `text` is a date without a time; else None. Raises InvalidField for a day that does not exist."""
    return _read_date(text, field) if DATE.fullmatch(text) else None


def unencoded_plus_hint(text: str, wanted: re.Pattern[str] = INSTANT) -> str:
    """A hint to append to an error, if `text` is right once its last space becomes a +; else an empty text. A + that is
    not encoded in a URL arrives as a space."""
    if not wanted.fullmatch("+".join(text.rsplit(" ", 1))):
        return ""
    return "; a + in a URL means a space: write %2B instead, or Z at the end of an instant"


def parse_period(start: str, end: str, zone: ZoneInfo, *, fields: tuple[str, str] = ("startdate", "enddate")) -> Period:
    """The period between two texts, each a date or an instant. `fields` are the fields' names for InvalidField."""
    return _parse_period(start, end, zone, fields)


@lru_cache(maxsize=4096)  # many bookings have the same start and end
def _parse_period(start: str, end: str, zone: ZoneInfo, fields: tuple[str, str]) -> Period:
    period = Period(parse_instant(start, fields[0], zone), parse_instant(end, fields[1], zone, is_end=True))
    for hour in period:
        _check_offset(instant_of(hour).astimezone(zone))
    return checked_period(period, fields[1])


def checked_period(period: Period, field: str = "enddate") -> Period:
    """The period. Raises InvalidField if it has no hour or is longer than ten years."""
    if period.end <= period.start:
        raise InvalidField(field, f"the end {iso(period.end)} is not after the start {iso(period.start)}")
    if period.hours > PERIOD_HOURS_MAX:
        raise InvalidField(field, "the period is longer than ten years; split it")
    return period


def parse_range(text: str, zone: ZoneInfo, field: str = "range") -> Period:
    """The period of a text `A,B`; A and B are dates or instants. Raises InvalidField."""
    parts = text.split(",")
    if len(parts) != 2:
        raise InvalidField(field, f"{text!r} is not two dates or instants with a comma between them")
    return parse_period(parts[0].strip(), parts[1].strip(), zone, fields=(field, field))


def parse_grain(text: str, field: str = "grain") -> str | int:
    """The length of blocks: `hour`, `day`, `week` or `month`, or the number of hours of a text such as `168h`. Raises
    InvalidField."""
    if named := GRAINS.get(text):
        return named
    if match := HOURS_GRAIN.fullmatch(text):
        return int(match.group(1))
    raise InvalidField(field, f"{text!r} is not hour, day, week, month or a number of hours such as 168h")


def block_starts(period: Period, grain: str | int, zone: ZoneInfo) -> list[int]:
    """The first hour of every block, in order. A block ends where the next one starts; the last ends with the period.

    Days, weeks (ISO, from Monday) and months are those of the zone. The first and the last block are cut to the period.
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
    """The whole calendar months (UTC) that have an hour of the period."""
    first, last = bisect_right(MONTHS, period.start) - 1, bisect_left(MONTHS, period.end)
    return [Period(start, end) for start, end in pairwise(MONTHS[first : last + 1])]


def _boundaries(period: Period, grain: str, zone: ZoneInfo) -> Iterator[date]:
    """The first days of all blocks, without an end. The first of them is not after the period's start."""
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
    """The first hour of a day of the zone. When the clocks skip 00:00, Python reads 00:00 with the offset before the
    change. That is the instant of the change, because no zone skips 00:00 together with time before it."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    _check_offset(local)
    return hour_of(local)


def _check_offset(local: datetime) -> None:
    """Raises InvalidField if the zone's offset on that day is not a whole number of hours."""
    offset = local.utcoffset()
    if offset is not None and offset % ONE_HOUR:
        said = f"the offset of {local.tzinfo} on {local:%Y-%m-%d} is not a number of whole hours; give another zone"
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
