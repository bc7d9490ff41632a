"""The grants and bookings of a pool, in pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.query.questions.calendar import CalendarQuestion, Cursor
from services.query.render.blocks import Item, item_names
from services.query.views.hours import Hours
from services.query.views.overlapping import overlaps
from shared.hours import Period, hour_of, instant_of, iso
from shared.names import spellings
from shared.postgres import Reader, Record

GRANTS = """
SELECT id, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, source, actor
FROM live_grant
WHERE generation = $1 AND pool = $2 AND ends > $3 AND starts < $4 AND (starts, id) > ($5, $6)
ORDER BY starts, id LIMIT $7
"""
BOOKINGS = f"""
SELECT id, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, account, actor, share, template,
    template_version, template_count, tentative, created, series, segment
FROM live_booking b
WHERE generation = $1 AND pool = $2 AND {overlaps("$3", "$4")} AND (starts, id) > ($5, $6)
    AND ($8::text[] IS NULL OR account = ANY ($8))
ORDER BY starts, id LIMIT $7
"""
STARTS_AT_FIRST = 31 * 24  # the first statement looks at starts in so many hours, each further one in eight times more
ITEMS = {"resources": GRANTS, "bookings": BOOKINGS}


async def read_items(reader: Reader, question: CalendarQuestion, hours: Hours) -> tuple[list[Item], str | None]:
    """A page of the pool's grants or bookings that overlap the period, and the cursor of the next page, None on the
    last."""
    names, asked = item_names(question), (question.period, question.after, question.limit)
    of_pool = ITEMS[question.view], hours.version.generation, hours.pool
    account = None if question.account is None else spellings(question.account)
    records = await read_page(reader, of_pool, *asked, *([account] if question.view == "bookings" else []))
    page = records[: question.limit]
    items = [item_of(record, question, names) for record in page]
    if len(records) == len(page):
        return items, None
    return items, Cursor(hour_of(page[-1]["starts"]), page[-1]["id"]).text()


async def read_page(
    reader: Reader, statement: tuple[str, int, object], period: Period, after: Cursor, limit: int, *more: object
) -> Sequence[Record]:
    """The rows of a page, and one more if another page follows. `statement` is its text, with the generation and the
    pools; `more` are its last arguments. It looks at those that start in the next hours, and only if they are too few
    at those that start later: so a page of a long period costs what a page costs."""
    text, generation, pools = statement
    begin, hours = max(period.start, after.start), STARTS_AT_FIRST
    while True:
        end = min(begin + hours, period.end)
        edges = instant_of(begin), instant_of(end), instant_of(after.start)
        records = await reader.fetch(text, generation, pools, *edges, after.id, limit + 1, *more)
        if len(records) > limit or end == period.end:
            return records
        hours *= 8


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
