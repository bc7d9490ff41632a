"""The bookings of a pool and of all pools inside it, in pages: one statement finds the pools, one the bookings."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.query.answers.answers import ViewResult
from services.query.answers.cache import CacheEntry, Version
from services.query.database import Database, live
from services.query.questions.calendar import Cursor
from services.query.questions.trees import TreeBookingsQuestion
from services.query.render.blocks import OF_A_BOOKING, render_object, span
from services.query.render.tables import table
from services.query.views.items import read_page
from services.query.views.overlapping import overlaps
from shared.hours import hour_of
from shared.names import spellings
from shared.postgres import Reader, Record

BOOKINGS_AT_ONCE = 500  # a thread makes the text of more
NAMED = ("pool", "account", "actor", "template")  # columns whose values are few

POOLS = """
SELECT g.generation, g.position, p.touched, p.pool, p.id
FROM generation g LEFT JOIN pool p ON p.generation = g.generation AND p.project = $1
WHERE g.live
"""
# A booking keeps its start and its id while others are made, so no page leaves one out, and none shows one twice.
BOOKINGS = f"""
SELECT pool, id, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, account, actor, share, template,
    template_version, template_count, tentative, created, series, segment
FROM live_booking b
WHERE generation = $1 AND pool = ANY ($2::int[]) AND {overlaps("$3", "$4")} AND (starts, id) > ($5, $6)
    AND ($8::text[] IS NULL OR account = ANY ($8))
ORDER BY starts, id LIMIT $7
"""


class OfTemplate(msgspec.Struct, frozen=True):
    """The template of a booking."""

    name: str
    version: int
    count: int

    def text(self) -> str:
        """As a table has it: `small@2 x 3`."""
        return f"{self.name}@{self.version} x {self.count}"


async def read_tree_bookings(database: Database, question: TreeBookingsQuestion) -> ViewResult:
    """`{pool, range, position, items | columns and names, next}`."""
    async with database.snapshot() as snapshot:
        pools = live(await snapshot.fetch(POOLS, question.pool.partition(".")[0]))
        if all(pool["id"] != question.pool for pool in pools):
            raise question.unknown()
        shown = {pool["pool"]: pool["id"] for pool in pools if question.shows(pool["id"])}
        generation, position = pools[0]["generation"], pools[0]["position"]
        records = await _read_bookings(snapshot, generation, shown, question)
    version = Version(generation, max(pool["touched"] for pool in pools))
    if len(records) > BOOKINGS_AT_ONCE:
        entry = await asyncio.to_thread(_made, question, version, shown, records)
    else:
        entry = _made(question, version, shown, records)
    return ViewResult(position, entry)


async def _read_bookings(
    reader: Reader, generation: int, pools: Mapping[int, str], question: TreeBookingsQuestion
) -> Sequence[Record]:
    """The bookings of the page, and one more if another page follows."""
    account = None if question.account is None else spellings(question.account)
    of_pools = BOOKINGS, generation, list(pools)
    return await read_page(reader, of_pools, question.period, question.after, question.limit, account)


def _made(
    question: TreeBookingsQuestion, version: Version, pools: Mapping[int, str], records: Sequence[Record]
) -> CacheEntry:
    """The encoded answer, without the position."""
    page, following = records[: question.limit], None
    if len(records) > len(page):
        following = Cursor(hour_of(page[-1]["starts"]), page[-1]["id"]).text()
    arrays = arrays_of(page, pools)
    columns = {name: arrays[name] for name in ("id", "pool", "start", "end", *question.dimensions, *OF_A_BOOKING)}
    if question.csv:
        columns["template"] = [None if one is None else one.text() for one in columns["template"]]
        return CacheEntry(version, table(rows_of(columns), list(columns)), None, following)
    shown = with_names(columns) if question.columns else {"items": rows_of(columns)}
    opening = {"pool": question.pool, "range": span(question.period)}
    return CacheEntry(version, *render_object(opening, {**shown, "next": following}), following)


def arrays_of(records: Sequence[Record], pools: Mapping[int, str]) -> dict[str, Sequence[Any]]:
    """An array for each field of bookings."""
    if not records:
        return defaultdict(tuple)
    found: dict[str, Sequence[Any]] = dict(zip(records[0].keys(), zip(*records, strict=True), strict=True))
    found["start"], found["end"] = found["starts"], found["ends"]
    found["state"] = ["tentative" if tentative else "confirmed" for tentative in found["tentative"]]
    found["pool"] = [pools[pool] for pool in found["pool"]]
    templates = zip(found["template"], found["template_version"], found["template_count"], strict=True)
    found["template"] = [None if parts[0] is None else OfTemplate(*parts) for parts in templates]
    return found


def rows_of(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def with_names(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """`{columns, names}`: the columns NAMED hold places in the lists under `names`, null where there is no value."""
    named = {name: placed(columns[name]) for name in NAMED}
    places = {name: found for name, (found, _) in named.items()}
    return {"columns": {**columns, **places}, "names": {name: values for name, (_, values) in named.items()}}


def placed(values: Sequence[Any]) -> tuple[list[int | None], list[Any]]:
    """For each value its place in the list of the different values, None for None; and that list."""
    places: dict[Any, int] = {}
    found = [None if value is None else places.setdefault(value, len(places)) for value in values]
    return found, list(places)
