"""The grants and bookings of a pool, in pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.query.questions.calendar import CalendarQuestion, Cursor
from services.query.render.blocks import Item, item_names
from services.query.views.hours import Hours
from shared.hours import hour_of, instant_of, iso
from shared.names import spellings
from shared.postgres import Reader, Record

GRANTS = """
SELECT id, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, source, actor
FROM live_grant
WHERE generation = $1 AND pool = $2 AND ends > $3 AND starts < $4 AND (starts, id) > ($5, $6)
ORDER BY starts, id LIMIT $7
"""
BOOKINGS = """
SELECT id, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, account, actor, share, template,
    template_version, template_count, tentative, created, series, segment
FROM live_booking
WHERE generation = $1 AND pool = $2 AND ends > $3 AND starts < $4 AND (starts, id) > ($5, $6)
    AND ($8::text[] IS NULL OR account = ANY ($8))
ORDER BY starts, id LIMIT $7
"""
ITEMS = {"resources": GRANTS, "bookings": BOOKINGS}


async def read_items(reader: Reader, question: CalendarQuestion, hours: Hours) -> tuple[list[Item], str | None]:
    """A page of the pool's grants or bookings that overlap the period, and the cursor of the next page, None on the
    last."""
    start, end = (instant_of(hour) for hour in question.period)
    after, names = question.after, item_names(question)
    records = await reader.fetch(
        ITEMS[question.view],
        hours.version.generation,
        hours.pool,
        start,
        end,
        instant_of(after.start),
        after.id,
        question.limit + 1,
        *([None if question.account is None else spellings(question.account)] if question.view == "bookings" else []),
    )
    page = records[: question.limit]
    items = [item_of(record, question, names) for record in page]
    if len(records) == len(page):
        return items, None
    return items, Cursor(hour_of(page[-1]["starts"]), page[-1]["id"]).text()


def item_of(record: Record, question: CalendarQuestion, names: Sequence[str]) -> Item:
    start, end = iso(hour_of(record["starts"])), iso(hour_of(record["ends"]))
    item: dict[str, Any] = {**record, "pool": question.pool, "start": start, "end": end}
    if question.view == "bookings":
        item["state"] = state_of(item["tentative"])
        item["template"] = template_of(item, as_text=question.csv)
    return {name: item[name] for name in names}


def state_of(tentative: bool) -> str:
    return "tentative" if tentative else "confirmed"


def template_of(item: dict[str, Any], *, as_text: bool) -> dict[str, Any] | str | None:
    """`{name, version, count}`, or in a table `small@2 x 3`; None for a booking without a template."""
    if item["template"] is None:
        return None
    name, version, count = item["template"], item["template_version"], item["template_count"]
    return f"{name}@{version} x {count}" if as_text else {"name": name, "version": version, "count": count}
