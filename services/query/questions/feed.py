"""Which bookings an iCalendar feed shows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from services.query.questions.sight import EVERYWHERE, Sight
from shared.errors import UnknownId
from shared.hours import Period, hour_of, parse_range, parse_zone
from shared.names import asked_name, is_pool_id

SUFFIX = ".ics"
BEFORE, AFTER = timedelta(days=90), timedelta(days=366)


class FeedQuery(NamedTuple):
    """The address of a feed as text: the last part of its path, and its query string."""

    file: str
    period: str | None = None
    tz: str = "UTC"
    min_position: int = 0


class Feed(NamedTuple):
    """An iCalendar feed. `kind` is project, cluster or account; `name` is as the client spelled it. A feed that is too
    long keeps the bookings nearest to `today`. It shows the bookings of the pools in `within`."""

    kind: str
    name: str
    period: Period
    today: datetime
    within: Sight = EVERYWHERE


def parse_feed(kind: str, query: FeedQuery, now: datetime) -> Feed:
    """Raises UnknownId, InvalidField."""
    name = feed_name(kind, query.file)
    zone = parse_zone(query.tz)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)  # so that the feed is the same all day
    if query.period is not None:
        return Feed(kind, name, parse_range(query.period, zone), today)
    return Feed(kind, name, Period(hour_of(today - BEFORE), hour_of(today + AFTER)), today)


def feed_name(kind: str, file: str) -> str:
    """The name of the project, cluster or account in the last part of a feed's path. Raises UnknownId, InvalidField."""
    if not file.endswith(SUFFIX):
        raise UnknownId("id", "calendar", file)
    name = asked_name(file.removesuffix(SUFFIX), "id")
    if kind != "account" and (not is_pool_id(name) or ("." in name) != (kind == "cluster")):
        raise UnknownId("id", kind, name)
    return name
