"""Where something fits first: the earliest slots in a pool and in each pool inside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.query.answers.answers import ViewResult
from services.query.answers.cache import CacheEntry
from services.query.database import Database
from services.query.held_hours import Columns
from services.query.questions.model import Counts, SlotsQuestion
from services.query.questions.trees import TreeSlotsQuestion, check_pool_hours
from services.query.render.blocks import render_object
from services.query.render.tables import table
from services.query.rollup import Cells
from services.query.views.fits import SHARE_COLUMNS, asked_counts, columns_for, counts_fit, share_fits
from services.query.views.hours import within
from services.query.views.tree import TreePool, read_pool_hours, read_tree
from shared.hours import Period, iso
from shared.postgres import Reader
from shared.slots import Fits, earliest_starts

STARTS_AT_FIRST = 31 * 24  # the first statement looks for starts in so many hours, each further one in four times more


class Amount(NamedTuple):
    """What must fit: counts, or without them a share. `columns` are the columns that say whether it does."""

    columns: Columns
    counts: Counts | None
    share: int = 0

    def fits(self, pool: TreePool, period: Period, cells: Cells) -> Fits:
        """In which hours of the period it fits. `cells` are those of the pool, shape (columns, hours)."""
        if self.counts is not None:
            return counts_fit(cells, self.counts)
        return share_fits(cells, self.share) & within(period, pool.own)


async def read_tree_slots(database: Database, question: TreeSlotsQuestion) -> ViewResult:
    """`{pool, position, duration_hours, pools: [{pool, slots: [{start, end}]}]}`. Raises InvalidField, UnknownId."""
    async with database.snapshot() as snapshot:
        tree = await read_tree(snapshot, question)
        pools = [pool for pool in tree.pools if not question.slots.share or pool.own is not None]
        if pools:
            check_pool_hours(len(pools), question.period)
        starts = await _read_starts(snapshot, tree.version.generation, pools, question.slots)
    found = [(pool.id, starts[pool.pool]) for pool in pools if starts[pool.pool]]
    found.sort(key=lambda pool: pool[1][0])  # it is stable: those that begin together stay in the order of the tree
    return ViewResult(tree.position, CacheEntry(tree.version, *_rendered(question, found)))


async def _amount(reader: Reader, question: SlotsQuestion) -> Amount:
    if question.share:
        return Amount(SHARE_COLUMNS, None, question.share)
    counts = await asked_counts(reader, question)
    return Amount(columns_for(counts), counts)


async def _read_starts(
    reader: Reader, generation: int, pools: Sequence[TreePool], question: SlotsQuestion
) -> Mapping[int, list[int]]:
    """The start hours of the earliest slots of each pool, by the pools' keys. The near hours are read first, and the
    later ones only of the pools in which more slots are wanted."""
    amount, found = await _amount(reader, question), {pool.pool: list[int]() for pool in pools}
    begin, many = question.earliest, STARTS_AT_FIRST
    while pools and begin + question.duration <= question.period.end:
        end = min(begin + many + question.duration - 1, question.period.end)
        hours = Period(begin, end)
        async for pool, cells in read_pool_hours(reader, generation, pools, hours, amount.columns):
            starts, fits = found[pool.pool], amount.fits(pool, hours, cells)
            starts += earliest_starts(fits, begin, question.duration, question.limit - len(starts))
        pools = [pool for pool in pools if len(found[pool.pool]) < question.limit]
        begin, many = begin + many, 4 * many
    return found


def _rendered(question: TreeSlotsQuestion, found: Sequence[tuple[str, list[int]]]) -> tuple[bytes, bytes | None]:
    duration = question.slots.duration
    slots = [
        (pool, [{"start": iso(start), "end": iso(start + duration)} for start in starts]) for pool, starts in found
    ]
    if question.csv:
        return table([{"pool": pool, **slot} for pool, many in slots for slot in many], ["pool", "start", "end"]), None
    pools = [{"pool": pool, "slots": many} for pool, many in slots]
    return render_object({"pool": question.pool}, {"duration_hours": duration, "pools": pools})
