"""Times and durations in words: what they mean in a zone, and what is an error."""

import pytest
from whenever import Instant

from services.cli.failure import WrongUse
from services.cli.people.times import Length, clock_of, iso, parse_length, parse_when, shown

# Thursday 1 March 2085, 10:30 in Berlin.
CLOCK = clock_of("Europe/Berlin", Instant.parse_iso("2085-03-01T09:30:00Z"))


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [
        ("now", "Thu 2085-03-01 11:00", None),
        ("in 2 hours", "Thu 2085-03-01 13:00", None),
        ("in 3 days", "Sun 2085-03-04 11:00", None),
        ("in 3 days at 14:00", "Sun 2085-03-04 14:00", None),
        ("tomorrow 9:00", "Fri 2085-03-02 09:00", None),
        ("Tomorrow  at 9", "Fri 2085-03-02 09:00", None),
        ("tomorrow 12am", "Fri 2085-03-02 00:00", None),
        ("tomorrow noon", "Fri 2085-03-02 12:00", None),
        ("tomorrow", "Fri 2085-03-02 00:00", "Sat 2085-03-03 00:00"),
        ("next monday", "Mon 2085-03-05 00:00", "Tue 2085-03-06 00:00"),
        ("next thursday", "Thu 2085-03-08 00:00", "Fri 2085-03-09 00:00"),
        ("fri 18:00", "Fri 2085-03-02 18:00", None),
        ("next week", "Mon 2085-03-05 00:00", None),
        ("next month", "Sun 2085-04-01 00:00", None),
        ("9:00", "Fri 2085-03-02 09:00", None),  # today's is over
        ("11:00", "Thu 2085-03-01 11:00", None),
        ("2085-03-25", "Sun 2085-03-25 00:00", "Mon 2085-03-26 00:00"),
        ("2085-06-01 14:00", "Fri 2085-06-01 14:00", None),
        ("2085-06-01T14:00", "Fri 2085-06-01 14:00", None),
        ("2085-06-01T14:00Z", "Fri 2085-06-01 16:00", None),
        ("2085-06-01 14:00+02:00", "Fri 2085-06-01 14:00", None),
        ("1 jun 2085 9am", "Fri 2085-06-01 09:00", None),
        ("3 february", "Sun 2086-02-03 00:00", "Mon 2086-02-04 00:00"),  # this year's is over
        ("2085-10-28T02:00+01:00", "Sun 2085-10-28 02:00", None),
    ],
)
def test_words_mean_an_hour_in_the_zone(words: str, start: str, end: str | None) -> None:
    """`end`: what they mean as an end, if it is something else."""
    assert shown(parse_when(words, "--from", CLOCK)) == start
    assert shown(parse_when(words, "--until", CLOCK, is_end=True)) == (end or start)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("thursday", 'today is a thursday: write "today" or "next thursday"'),
        ("9:30", "write 09:00 or 10:00"),
        ("2085-03-25 02:00", "skip 2085-03-25 02:00: write 2085-03-25T01:00+01:00 or 2085-03-25T03:00+02:00"),
        ("2085-10-28 2:00", "comes twice in Europe/Berlin: write 2085-10-28T02:00+02:00 or 2085-10-28T02:00+01:00"),
        ("2085-02-30", "not in the calendar"),
        ("30 feb", "not in the calendar"),
        ("2085-02-30T09:00Z", "not in the calendar"),
        ("tomorrow 25:00", "there is no time '25:00'"),
        ("tomorrow 13pm", "there is no time '13pm'"),
        ("tomorrow midnight", "midnight may be the start or the end of a day"),
        ("in 2 hours at 9:00", "a number of hours needs no time of day"),
        ("in 90 minutes", "the ledger books whole hours"),
        *((words, "is no time that is understood") for words in ("03/04/2085", "5", "may", "32 cores", "soon", "")),
    ],
)
def test_words_that_are_wrong_or_ambiguous_are_an_error_that_names_the_option(words: str, said: str) -> None:
    with pytest.raises(WrongUse, match=r"^--from: ") as wrong:
        parse_when(words, "--from", CLOCK)
    assert said in str(wrong.value)


def test_a_day_begins_at_its_first_instant_where_the_clocks_skip_midnight() -> None:
    clock = clock_of("America/Havana", Instant.parse_iso("2026-03-01T00:00:00Z"))
    assert iso(parse_when("2026-03-08", "--from", clock)) == "2026-03-08T05:00:00Z"


def test_a_zone_whose_offset_is_no_whole_hour_has_whole_hours_of_its_own_refused() -> None:
    clock = clock_of("Asia/Kolkata", Instant.parse_iso("2085-03-01T00:00:00Z"))
    with pytest.raises(WrongUse, match="whole hour"):
        parse_when("tomorrow 9:00", "--from", clock)
    assert iso(parse_when("tomorrow 9:30", "--from", clock)) == "2085-03-02T04:00:00Z"


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(WrongUse, match="--tz: there is no time zone 'Mars'"):
        clock_of("Mars")


@pytest.mark.parametrize(
    ("words", "length"),
    [
        ("3 days", Length(3, 0)),
        ("36 hours", Length(0, 36)),
        ("2 weeks", Length(14, 0)),
        ("1 day 12 hours", Length(1, 12)),
        ("a week and 2 h", Length(7, 2)),
        ("1d12h", Length(1, 12)),
        ("P3D", Length(3, 0)),
        ("PT36H", Length(0, 36)),
        ("3-12:00:00", Length(3, 12)),
    ],
)
def test_a_duration_has_days_and_hours(words: str, length: Length) -> None:
    assert parse_length(words) == length


@pytest.mark.parametrize(
    "words", ["", "3", "p", "90 minutes", "1.5 days", "0 days", "-3 days", "3 fortnights", "9999999d"]
)
def test_what_is_no_duration_is_an_error(words: str) -> None:
    with pytest.raises(WrongUse, match=r"^--for: "):
        parse_length(words)


def test_three_days_keep_the_time_of_day_when_the_clocks_change() -> None:
    start = parse_when("2085-03-24 09:00", "--from", CLOCK)
    assert shown(Length(3, 0).after(start)) == "Tue 2085-03-27 09:00"
    assert iso(Length(3, 0).after(start)) == "2085-03-27T07:00:00Z"
