"""The questions about a pool and all pools inside it."""

from __future__ import annotations

from services.query.answers.answers import OfManyItems, OfManyPools
from services.query.answers.cache import Scope
from services.query.questions.calendar import CalendarQuery, Cursor, parse_cursor
from services.query.questions.model import PoolQuestion, SlotsQuestion
from services.query.questions.parameters import parse_dimensions, parse_pool, parse_shape, required_range
from services.query.questions.sight import EVERYWHERE, Sight
from shared.errors import InvalidField
from shared.hours import Period, parse_zone
from shared.names import asked_name

POOL_HOURS_MAX = 1_500_000  # pools times hours: 170 pools in a year
ITEMS_MAX = 10_000  # in a page
COLUMNS_MAX = 50_000  # bookings in a page of columns


class TreeQuestion(PoolQuestion, frozen=True, kw_only=True):
    """A question about a pool and the pools inside it, in a period. Only pools in `within` are shown."""

    period: Period
    within: Sight = EVERYWHERE

    @property
    def scope(self) -> Scope:
        return Scope("tree", self.pool.partition(".")[0])

    def shows(self, pool: str) -> bool:
        """Whether a pool is that of the question or lies inside it, and may be shown."""
        return f"{pool}.".startswith(f"{self.pool}.") and self.within.has(pool)


class TreeHoursQuestion(TreeQuestion, OfManyPools, frozen=True, kw_only=True):
    """A question about the hours of a pool and of the pools inside it."""

    @property
    def hours(self) -> Period:
        return self.period


class TreeSlotsQuestion(TreeHoursQuestion, frozen=True, kw_only=True):
    """`slots`, asked of each of the pools."""

    slots: SlotsQuestion


class TreeBookingsQuestion(TreeQuestion, OfManyItems, frozen=True, kw_only=True):
    """A page of the bookings of a pool and of the pools inside it that overlap the period; with `account`, only those
    of an account, spelled as the client spelled it."""

    dimensions: tuple[str, ...]
    account: str | None
    columns: bool
    after: Cursor
    limit: int


def check_pool_hours(pools: int, period: Period) -> None:
    """Raises InvalidField for more pools and hours than one answer is made of."""
    if pools * period.hours > POOL_HOURS_MAX:
        raise InvalidField(
            "range",
            f"{pools} pools in {period.hours} hours are more than {POOL_HOURS_MAX} together; ask for at most "
            f"{POOL_HOURS_MAX // pools} hours, or for a cluster with fewer pools inside it",
        )


def parse_tree(text: str | None) -> bool:
    """Whether the client asks for the pools inside the pool, too. Raises InvalidField."""
    if text not in (None, "true", "false"):
        raise InvalidField("tree", f"{text!r} is neither true nor false")
    return text == "true"


def parse_tree_bookings(query: CalendarQuery, csv: bool, within: Sight) -> TreeBookingsQuestion:
    """The question of a query with `tree`. Raises InvalidField, UnknownId."""
    for name, given in (("grain", query.grain), ("values", query.values)):
        if given is not None:
            raise InvalidField(name, "a tree has no blocks; leave it out, or ask /available/matrix")
    field, pool = parse_pool(query.project, query.clusterid)
    columns = parse_shape(query.shape)
    return TreeBookingsQuestion(
        field=field,
        pool=pool,
        csv=csv,
        within=within,
        period=required_range(query.period, parse_zone(query.tz)),
        dimensions=parse_dimensions(query.dimensions),
        account=None if query.account is None else asked_name(query.account, "account"),
        columns=columns,
        after=parse_cursor(query.after),
        limit=query.limit,
    )


def check_limit(limit: int, *, columns: bool) -> None:
    """Raises InvalidField for a page of more bookings than one answer has. `columns`: the page has columns."""
    if limit > ITEMS_MAX and not columns:
        raise InvalidField("limit", f"give at most {ITEMS_MAX}; only tree=true with shape=columns takes more")
