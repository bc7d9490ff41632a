"""The question of /bookings/load: how much is booked, by account or by cluster."""

from __future__ import annotations

from typing import Literal

import msgspec

from services.query.answers.cache import Scope
from services.query.questions.calendar import too_many_blocks
from services.query.questions.model import PeriodQuestion
from services.query.questions.parameters import (
    optional_name,
    parse_dimension,
    parse_grain_or_day,
    parse_pool,
    required_range,
)
from shared.errors import InvalidField
from shared.hours import block_starts, parse_zone

BLOCKS_MAX = 1_000_000  # of all rows together
BLOCKS_OF_A_ROW_MAX = 10_000
By = Literal["account", "cluster"]


class LoadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The query string of /bookings/load: texts that are not checked yet. `period` is the parameter `range`."""

    project: str | None
    clusterid: str | None
    period: str | None
    grain: str | None
    tz: str
    dimension: str | None
    by: str | None
    account: str | None
    limit: int
    min_position: int


class LoadQuestion(PeriodQuestion, frozen=True, kw_only=True):
    """How much of a dimension is booked in a pool and all pools inside it. The `limit` accounts or clusters that have
    booked the most hours are told apart. `account` is the only one that counts; None: all."""

    grain: str | int
    zone: str
    dimension: str
    by: By
    account: str | None
    limit: int

    @property
    def scope(self) -> Scope:
        return Scope("tree", self.pool.partition(".")[0])

    def block_starts(self) -> list[int]:
        """The first hour of every block. Raises InvalidField for more than BLOCKS_OF_A_ROW_MAX blocks."""
        if isinstance(self.grain, int) and self.grain * BLOCKS_OF_A_ROW_MAX < self.period.hours:
            raise too_many_blocks(BLOCKS_OF_A_ROW_MAX)
        starts = block_starts(self.period, self.grain, parse_zone(self.zone))
        if len(starts) > BLOCKS_OF_A_ROW_MAX:
            raise too_many_blocks(BLOCKS_OF_A_ROW_MAX)
        return starts

    @property
    def rows_max(self) -> int:
        """How many accounts or clusters are told apart."""
        return min(self.limit, BLOCKS_MAX // len(self.block_starts()))


def parse_load(query: LoadQuery, csv: bool) -> LoadQuestion:
    """The question of /bookings/load. Raises InvalidField, UnknownId."""
    field, pool = parse_pool(query.project, query.clusterid)
    zone = parse_zone(query.tz)
    return LoadQuestion(
        field=field,
        pool=pool,
        csv=csv,
        period=required_range(query.period, zone),
        grain=parse_grain_or_day(query.grain),
        zone=zone.key,
        dimension=parse_dimension(query.dimension),
        by=parse_by(query.by),
        account=optional_name(query.account, "account"),
        limit=query.limit,
    )


def parse_by(text: str | None) -> By:
    """What is added up: `account` for None. Raises InvalidField."""
    if text is None or text == "account":
        return "account"
    if text == "cluster":
        return "cluster"
    raise InvalidField("by", f"{text!r} is neither account nor cluster")
