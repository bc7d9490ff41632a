"""What tests ask the clock for: the hour that is now, and a wait where a test must not run into another day."""

import time
from datetime import UTC, datetime

from shared.hours import hour_of


def this_hour() -> int:
    """The number of the hour that is now."""
    return hour_of(datetime.now(UTC))


def wait_for_midnight(within_s: float) -> None:
    """Waits until the next day has begun in UTC, if it begins within so many seconds. After that, a test that asks
    twice for today's date gets one answer."""
    while (left_s := 86_400 - time.time() % 86_400) <= within_s:
        time.sleep(left_s + 0.01)
