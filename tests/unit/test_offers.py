"""An offer never starts in the past."""

from datetime import UTC, datetime

import pytest

from services.query.questions.slots import earliest_of, year_ahead
from shared.hours import Period, hour_of

DAY = hour_of(datetime(2026, 3, 29, tzinfo=UTC))


@pytest.mark.parametrize(
    ("hour", "minute", "earliest"), [(0, 0, 6), (6, 0, 6), (6, 1, 7), (11, 0, 11), (17, 59, 18), (23, 30, 18)]
)
def test_an_offer_begins_with_the_next_whole_hour_of_its_range(hour: int, minute: int, earliest: int) -> None:
    now = datetime(2026, 3, 29, hour, minute, tzinfo=UTC)
    assert earliest_of(Period(DAY + 6, DAY + 18), now) == DAY + earliest


def test_without_a_range_it_is_a_year_from_the_next_whole_hour() -> None:
    now = datetime(2026, 3, 29, 6, 30, tzinfo=UTC)
    assert year_ahead(now).start == earliest_of(year_ahead(now), now) == DAY + 7
