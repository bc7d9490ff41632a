"""One pass over the hours finds the same slots as a loop over all starts and hours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.slots import earliest_starts, nearest_start, starts_that_fit

HOURS = st.lists(st.one_of(st.booleans(), st.just(True)), max_size=60)
FIRST = 525_960  # 2030-01-01T00:00Z


def naive(fits: list[bool], duration: int) -> list[int]:
    return [
        start
        for start in range(len(fits))
        if start + duration <= len(fits) and all(fits[hour] for hour in range(start, start + duration))
    ]


def test_a_slot_fits_in_each_of_its_hours() -> None:
    fits = np.array([True, False, True, True, True, False, True, True])
    assert earliest_starts(fits, FIRST, 2, 10) == [FIRST + 2, FIRST + 3, FIRST + 6]
    assert earliest_starts(fits, FIRST, 2, 2) == [FIRST + 2, FIRST + 3]
    assert earliest_starts(fits, FIRST, 3, 10) == [FIRST + 2]
    assert earliest_starts(fits, FIRST, 4, 10) == []


def test_the_nearest_slot_may_be_earlier_or_later_and_is_the_earlier_of_two() -> None:
    fits = np.array([True, False, False, False, True, True])
    found = [nearest_start(fits, FIRST, FIRST + wanted, 1, FIRST) for wanted in range(6)]
    assert found == [FIRST + start for start in (0, 0, 0, 4, 4, 5)]
    assert nearest_start(fits, FIRST, FIRST, 1, FIRST + 1) == FIRST + 4
    assert nearest_start(fits, FIRST, FIRST, 2, FIRST + 5) is None
    assert nearest_start(fits, FIRST, FIRST - 100, 2, 0) == FIRST + 4


def test_a_duration_of_no_hours_is_refused() -> None:
    with pytest.raises(ValueError, match="duration"):
        starts_that_fit(np.array([True]), 0)


@given(hours=HOURS, duration=st.integers(1, 80), limit=st.integers(0, 70))
def test_the_earliest_starts_are_those_of_a_loop(hours: list[bool], duration: int, limit: int) -> None:
    found = earliest_starts(np.array(hours, dtype=bool), FIRST, duration, limit)
    assert found == [FIRST + start for start in naive(hours, duration)[:limit]]


@given(hours=HOURS, duration=st.integers(1, 80), wanted=st.integers(-70, 130), not_before=st.integers(-70, 130))
def test_the_nearest_start_is_that_of_a_loop(hours: list[bool], duration: int, wanted: int, not_before: int) -> None:
    allowed = [start for start in naive(hours, duration) if start >= not_before]
    nearest = min(allowed, key=lambda start: (abs(start - wanted), start), default=None)
    found = nearest_start(np.array(hours, dtype=bool), FIRST, FIRST + wanted, duration, FIRST + not_before)
    assert found == (None if nearest is None else FIRST + nearest)
