"""A row for each pool of a tree, a column for each block of time: what is available there, the least and the most."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from services.query.answers.answers import ViewResult
from services.query.answers.cache import CacheEntry
from services.query.database import Database
from services.query.questions.matrix import MatrixQuestion, check_cells
from services.query.questions.trees import check_pool_hours
from services.query.render.matrix import render_matrix
from services.query.rollup import Cells, roll_up, times_it_fits
from services.query.views.calendar import FIGURES_AT_ONCE
from services.query.views.hours import columns_of
from services.query.views.templates import TemplateVersion, read_template
from services.query.views.tree import Tree, read_pool_hours, read_tree
from shared.postgres import Reader


async def read_matrix(database: Database, question: MatrixQuestion) -> ViewResult:
    """`{pool, range, grain, timezone, position, dimension | template, columns, rows: [{pool, name, kind, min, max}]}`.
    Raises InvalidField for too many pools, blocks or hours."""
    starts = question.block_starts()
    async with database.snapshot() as snapshot:
        template = None
        if question.template is not None:
            template = await read_template(snapshot, question.pool, question.template, question.unknown())
        tree = await read_tree(snapshot, question)
        if tree.pools:
            check_cells(len(tree.pools), len(starts))
            check_pool_hours(len(tree.pools), question.period)
        figures = await _read_figures(snapshot, question, tree, template)
    if figures.size > FIGURES_AT_ONCE:
        entry = await asyncio.to_thread(_made, question, starts, tree, figures, template)
    else:
        entry = _made(question, starts, tree, figures, template)
    return ViewResult(tree.position, entry)


async def _read_figures(
    reader: Reader, question: MatrixQuestion, tree: Tree, template: TemplateVersion | None
) -> Cells:
    """What is available in each pool and hour, or how many of the template fit there: shape (1, pools, hours)."""
    columns = columns_of(("available",), (question.dimension,) if template is None else template.dimensions)
    figures = np.zeros((1, len(tree.pools), question.period.hours), dtype=np.int64)
    place = 0
    async for _, cells in read_pool_hours(reader, tree.version.generation, tree.pools, question.period, columns):
        figures[0, place] = cells[0] if template is None else times_it_fits(cells, template.required)
        place += 1
    return figures


def _made(
    question: MatrixQuestion, starts: Sequence[int], tree: Tree, figures: Cells, template: TemplateVersion | None
) -> CacheEntry:
    """The encoded answer, without the position."""
    rollup = roll_up(figures, question.period, starts)
    named = None if template is None else {"name": template.name, "version": template.version}
    rows = [(pool.id, pool.name, pool.kind) for pool in tree.pools]
    head, tail, windows = render_matrix(question, named, rows, rollup)
    return CacheEntry(tree.version, head, tail, windows=windows)
