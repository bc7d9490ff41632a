"""The two sources that subscribers follow live: events and notices. Each is numbered 1, 2, 3 … without a gap."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from services.query.database import Database
from services.query.views.live_events import StreamEvent, find_events, last_event, read_visible
from services.query.views.notices import find_notices, last_notice, read_new_notices


class LiveSource(NamedTuple):
    """`read(database, after, limit)` answers (last visible number, the next of them). `find(database, after, project,
    types, limit)` answers (last number looked at, matches). `last(database)` answers the newest number. `what` is how
    an error calls one of them."""

    read: Callable[[Database, int, int], Awaitable[tuple[int, list[StreamEvent]]]]
    find: Callable[[Database, int, str | None, Sequence[str] | None, int], Awaitable[tuple[int, list[StreamEvent]]]]
    last: Callable[[Database], Awaitable[int]]
    what: str


EVENTS = LiveSource(read_visible, find_events, last_event, "event")
NOTICES = LiveSource(read_new_notices, find_notices, last_notice, "notice")
