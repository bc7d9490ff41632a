"""The question of /available/matrix: the available amounts of a pool and of all pools inside it, in blocks."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.query.questions.calendar import BLOCKS_MAX, blocks_of
from services.query.questions.parameters import (
    TemplateName,
    parse_dimension,
    parse_grain_or_day,
    parse_pool,
    parse_template,
    required_range,
)
from services.query.questions.sight import Sight
from services.query.questions.trees import TreeHoursQuestion
from shared.errors import InvalidField
from shared.hours import parse_zone

CELLS_MAX = 1_000_000  # pools times blocks


class MatrixQuestion(TreeHoursQuestion, frozen=True, kw_only=True):
    """How much of a dimension is available in each pool and block; with `template`, how many of it fit."""

    grain: str | int
    zone: str
    dimension: str
    template: TemplateName | None = None

    def block_starts(self) -> Sequence[int]:
        """The first hour of every block. Raises InvalidField."""
        return blocks_of(self.period, self.grain, self.zone)


class MatrixQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The query string of /available/matrix: texts that are not checked yet."""

    project: str | None
    clusterid: str | None
    period: str | None
    grain: str | None
    tz: str
    dimension: str | None
    template: str | None
    min_position: int


def parse_matrix(query: MatrixQuery, csv: bool, within: Sight) -> MatrixQuestion:
    """The question of a query. Raises InvalidField, UnknownId."""
    field, pool = parse_pool(query.project, query.clusterid)
    if query.dimension is not None and query.template is not None:
        raise InvalidField("dimension", "give either a dimension or a template, not both")
    zone = parse_zone(query.tz)
    return MatrixQuestion(
        field=field,
        pool=pool,
        csv=csv,
        within=within,
        period=required_range(query.period, zone),
        grain=parse_grain_or_day(query.grain),
        zone=zone.key,
        dimension=parse_dimension(query.dimension),
        template=None if query.template is None else parse_template(query.template),
    )


def check_cells(pools: int, blocks: int) -> None:
    """Raises InvalidField for more pools and blocks than one answer shows."""
    if pools * blocks > CELLS_MAX:
        raise InvalidField(
            "grain",
            f"{pools} pools in {blocks} blocks are more than {CELLS_MAX} together; ask for longer blocks or fewer "
            f"hours, at most {min(BLOCKS_MAX, CELLS_MAX // pools)} blocks",
        )
