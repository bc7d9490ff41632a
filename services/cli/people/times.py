"""Times and durations in words, in the zone of the person: "tomorrow 9:00", "in 2 hours", "3 days".

The words are a closed list (WHEN, LONG). What is not on it is an error: a wrong guess books wrong hours.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from whenever import (
    SYSTEM_TZ,
    Date,
    Instant,
    PlainDateTime,
    RepeatedTime,
    SkippedTime,
    Time,
    TimeZoneNotFoundError,
    Weekday,
    ZonedDateTime,
)

from services.cli.failure import WrongUse

WHEN = '"tomorrow 9:00", "next monday", "in 2 hours", "2030-06-03 14:00", "2030-06-03" or "2030-06-03T14:00+02:00"'
LONG = '"3 days", "36 hours", "2 weeks", "1 day 12 hours", "36h" or "P3D"'
UTC = "UTC"
AHEAD_MAX = 100_000  # of a number in words; whatever is beyond ten years, the ledger refuses

INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d)?([Zz]|[+-]\d\d(:?\d\d)?)")
CLOCK = re.compile(
    r"(?:^|\s)(?:(?:at )?(?P<hour>\d{1,2}):(?P<minute>\d\d)|at (?P<at>\d{1,2})|(?:at )?(?P<half>\d{1,2}) ?(?P<of>[ap]m)"
    r"|(?:at )?(?P<noon>noon))$"
)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
NAMED_DATE = re.compile(r"(\d{1,2})\.? ([a-z]{3,9})(?: (\d{4}))?")
PART = re.compile(r"(\d+|an?|one) ?(weeks?|w|days?|d|hours?|hrs?|h)(?: ?and ?|, ?| ?|$)")
ISO_LENGTH = re.compile(r"p(?:(\d+)w)?(?:(\d+)d)?(?:t(\d+)h)?")
SLURM_LENGTH = re.compile(r"(\d+)-(\d{1,2})(?::00(?::00)?)?")


class Length(NamedTuple):
    """A duration: calendar days of the zone, and hours after them."""

    days: int
    hours: int

    @property
    def hours_at_most_a_day_of_24(self) -> int:
        """The duration in hours, with days of 24 hours."""
        return self.days * 24 + self.hours

    def after(self, start: ZonedDateTime) -> ZonedDateTime:
        """The end of a period of this length: three days from Monday 9:00 is Thursday 9:00, also if clocks change."""
        return start.add(days=self.days).add(hours=self.hours)


class Clock(NamedTuple):
    """Now, in the zone of the person. `zone` is the name of the zone."""

    now: ZonedDateTime
    zone: str

    @property
    def next_hour(self) -> ZonedDateTime:
        """The first whole hour that starts now or later."""
        return self.now.round("hour", mode="ceil")

    @property
    def today(self) -> Date:
        return self.now.date()


def clock_of(zone: str | None, now: Instant | None = None) -> Clock:
    """The clock in the zone of `--tz`, or of this machine; in UTC if that has no name. Raises WrongUse."""
    instant = now or Instant.now()
    try:
        local = instant.to_tz(zone or SYSTEM_TZ)
        if local.tz_id is None:
            local = instant.to_tz(UTC)
    except TimeZoneNotFoundError:
        raise WrongUse(f"--tz: there is no time zone {zone!r}: write a name such as Europe/Madrid or UTC") from None
    name = local.tz_id or UTC
    return Clock(local, UTC if name in ("Etc/UTC", "Etc/UCT", "UCT", "Zulu") else name)


def parse_when(text: str, option: str, clock: Clock, *, is_end: bool = False) -> ZonedDateTime:
    """The whole hour that the words mean. A day without a time is its first instant; as an end, the day is included.

    Raises WrongUse, which names the option and says what would be right.
    """
    words = " ".join(text.split())
    if INSTANT.fullmatch(words):
        return whole_hour(_instant(words, option).to_tz(clock.zone), words, option)
    words = re.sub(r"^(\d{4}-\d\d-\d\d)t(?=\d)", r"\1 ", words.lower())
    if words == "now":
        return clock.next_hour
    day_words, time = _time_of(words, option)
    if not day_words and time is not None:
        return _next_time(time, option, clock)
    if day_words.startswith("in "):
        return _ahead(day_words[3:], time, option, clock)
    day = _day(day_words, option, clock)
    if day is None:
        raise WrongUse(f"{option}: {text!r} is no time that is understood here: write {WHEN}")
    if time is None:
        is_whole_day = is_end and day_words not in ("next week", "next month")  # until next week: without it
        return _first_instant(day.add(days=1) if is_whole_day else day, clock)
    return _at(day, time, option, clock)


def parse_length(text: str, option: str = "--for") -> Length:
    """The duration that the words mean. Raises WrongUse."""
    words = " ".join(text.lower().split())
    if match := ISO_LENGTH.fullmatch(words) if words != "p" else None:
        weeks, days, hours_ = (int(part or 0) for part in match.groups())
        length = Length(weeks * 7 + days, hours_)
    elif match := SLURM_LENGTH.fullmatch(words):
        length = Length(int(match[1]), int(match[2]))
    else:
        length = _sum_of_parts(words)
    if length == (0, 0) or max(length) > AHEAD_MAX:
        hint = "; the ledger books whole hours" if "min" in words or "." in words else ""
        raise WrongUse(f"{option}: {text!r} is no duration: write {LONG}{hint}")
    return length


def whole_hour(moment: ZonedDateTime, text: str, option: str) -> ZonedDateTime:
    """The moment. Raises WrongUse if it is inside of an hour."""
    if moment.timestamp() % 3600:
        before = moment.round("hour", mode="floor")
        after = before.add(hours=1)
        right = f"{clock_time(before)} or {clock_time(after)}"
        raise WrongUse(f"{option}: {text!r} is not a whole hour, and the ledger books whole hours: write {right}")
    return moment


def shown(moment: ZonedDateTime) -> str:
    """A moment for people: `Tue 2030-06-04 09:00`."""
    return f"{day_name(moment)} {moment.date()} {clock_time(moment)}"


def clock_time(moment: ZonedDateTime) -> str:
    return f"{moment.hour:02}:{moment.minute:02}"


def day_name(moment: ZonedDateTime) -> str:
    return DAYS[moment.date().day_of_week().value - 1][:3].capitalize()


def iso(moment: ZonedDateTime) -> str:
    """The moment as the ledger takes and gives it: `2030-06-04T09:00:00Z`."""
    return str(moment.to_instant().format_iso(unit="second"))


def local(text: str, zone: str) -> ZonedDateTime:
    """A moment of the ledger's answer, in the zone."""
    return Instant.parse_iso(text).to_tz(zone)


def _instant(words: str, option: str) -> Instant:
    try:
        return Instant.parse_iso(words.upper().replace(" ", "T"))
    except ValueError:
        raise WrongUse(f"{option}: {words!r} is not in the calendar") from None


def _time_of(words: str, option: str) -> tuple[str, Time | None]:
    """The words without the time of day at their end, and that time."""
    if words.endswith("midnight"):
        raise WrongUse(f'{option}: midnight may be the start or the end of a day: write "00:00" of the day that begins')
    match = CLOCK.search(words)
    if match is None:
        return words, None
    hour, minute = _hour(match), int(match["minute"] or 0)
    if hour > 23 or minute > 59:
        raise WrongUse(f"{option}: there is no time {match[0].strip()!r}: write 0:00 to 23:00")
    return words[: match.start()].rstrip(" ,"), Time(hour, minute)


def _hour(match: re.Match[str]) -> int:
    if match["noon"]:
        return 12
    if match["half"]:
        half = int(match["half"])
        return half % 12 + (12 if match["of"] == "pm" else 0) if 1 <= half <= 12 else 24
    return int(match["hour"] or match["at"])


def _day(words: str, option: str, clock: Clock) -> Date | None:
    """The day that the words mean; None if they mean none."""
    near = {"yesterday": -1, "today": 0, "tomorrow": 1}
    if words in near:
        return clock.today.add(days=near[words])
    if words == "next week":
        return clock.today.add(days=8 - clock.today.day_of_week().value)
    if words == "next month":
        return clock.today.replace(day=1).add(months=1)
    if weekday := _weekday(words.removeprefix("next ")):
        return _next_weekday(weekday, is_next=words.startswith("next "), option=option, clock=clock)
    try:
        return Date.parse_iso(words) if "-" in words else _named_date(words, clock)
    except ValueError:
        raise WrongUse(f"{option}: {words!r} is not in the calendar: write a day as 2030-06-03") from None


def _weekday(word: str) -> Weekday | None:
    found = [number for number, name in enumerate(DAYS, 1) if word in (name, name[:3])]
    return Weekday(found[0]) if found else None


def _next_weekday(weekday: Weekday, *, is_next: bool, option: str, clock: Clock) -> Date:
    """The first such day after today. Without "next", today's own name is ambiguous."""
    days = (weekday.value - clock.today.day_of_week().value) % 7
    name = DAYS[weekday.value - 1]
    if days == 0 and not is_next:
        raise WrongUse(f'{option}: today is a {name}: write "today" or "next {name}"')
    return clock.today.add(days=days or 7)


def _named_date(words: str, clock: Clock) -> Date | None:
    """The day of `3 jun 2030` or `3 june`; without a year, the first one from today on."""
    match = NAMED_DATE.fullmatch(words)
    months = [number for number, name in enumerate(MONTHS, 1) if match and match[2].startswith(name)]
    if match is None or not months:
        return None
    day = Date(int(match[3] or clock.today.year), months[0], int(match[1]))
    return day if match[3] or day >= clock.today else day.replace(year=day.year + 1)


def _ahead(words: str, time: Time | None, option: str, clock: Clock) -> ZonedDateTime:
    """`2 hours` from the next whole hour on; `3 days` later, at `time` or at that hour."""
    length = parse_length(words, option)
    if time is None:
        return length.after(clock.next_hour)
    if length.hours:
        raise WrongUse(f'{option}: a number of hours needs no time of day: write "in {words}"')
    return _at(clock.today.add(days=length.days), time, option, clock)


def _next_time(time: Time, option: str, clock: Clock) -> ZonedDateTime:
    """The next time that the clock shows this time: today or tomorrow."""
    today = _at(clock.today, time, option, clock)
    return today if today >= clock.now else _at(clock.today.add(days=1), time, option, clock)


def _first_instant(day: Date, clock: Clock) -> ZonedDateTime:
    """The first instant of a day, also where the clocks skip its midnight."""
    return day.at(Time(0)).assume_tz(clock.zone, disambiguation="compatible").start_of("day")


def _at(day: Date, time: Time, option: str, clock: Clock) -> ZonedDateTime:
    plain = day.at(time)
    said = f"{day} {time.hour:02}:{time.minute:02}"
    try:
        return whole_hour(plain.assume_tz(clock.zone, disambiguation="raise"), said, option)
    except SkippedTime:
        raise WrongUse(f"{option}: the clocks in {clock.zone} skip {said}: write {_around(plain, clock)}") from None
    except RepeatedTime:
        raise WrongUse(f"{option}: {said} comes twice in {clock.zone}: write {_around(plain, clock)}") from None


def _around(plain: PlainDateTime, clock: Clock) -> str:
    """The two moments that may be meant, with their offsets."""
    both = (plain.assume_tz(clock.zone, disambiguation=which) for which in ("earlier", "later"))
    return " or ".join(str(moment.to_fixed_offset().format_iso(unit="minute")) for moment in both)


def _sum_of_parts(words: str) -> Length:
    """The sum of `1 week 2 days 3 hours`; nothing if there are other words."""
    days = hours_ = place = 0
    while match := PART.match(words, place):
        number = int(match[1]) if match[1].isdigit() else 1
        place = match.end()
        match match[2][0]:
            case "w":
                days += number * 7
            case "d":
                days += number
            case _:
                hours_ += number
    return Length(days, hours_) if place == len(words) else Length(0, 0)
