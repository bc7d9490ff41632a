"""The other questions: frozen values in their normal form, equal when they are the same question. `csv` asks for a
table. `hours` are the hours that an answer is read from, None where it is not about hours."""

from __future__ import annotations

from uuid import UUID

import msgspec

from services.query.answers.cache import Scope
from services.query.questions.calendar import CalendarQuestion
from services.query.questions.parameters import TemplateName, unknown_pool
from services.query.questions.sight import EVERYWHERE, Sight
from shared.errors import UnknownId
from shared.hours import Period

Counts = tuple[int, int, int, int, int, int]


class PoolQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A question about one pool; `field` is the parameter that named it."""

    field: str
    pool: str
    csv: bool = False

    @property
    def scope(self) -> Scope:
        return Scope("pool", self.pool)

    @property
    def hours(self) -> Period | None:
        return None

    def unknown(self) -> UnknownId:
        return unknown_pool(self.field, self.pool)


class PeriodQuestion(PoolQuestion, frozen=True, kw_only=True):
    """A question about one pool in a period."""

    period: Period

    @property
    def hours(self) -> Period:
        return self.period


class HourQuestion(PoolQuestion, frozen=True, kw_only=True):
    """A question about one pool in one hour."""

    hour: int

    @property
    def hours(self) -> Period:
        return Period(self.hour, self.hour + 1)


class NowQuestion(HourQuestion, frozen=True, kw_only=True):
    """How much is available in the current hour, and how many of each template fit."""


class SlotsQuestion(PeriodQuestion, frozen=True, kw_only=True):
    """Where in the period `duration` hours of counts, of `count` times a template, or of a share (basis points) fit.
    `earliest` is the first hour of the period at which a slot may begin."""

    earliest: int
    duration: int
    counts: Counts | None = None
    template: TemplateName | None = None
    count: int = 1
    share: int = 0
    limit: int = 10


class MostQuestion(PeriodQuestion, frozen=True, kw_only=True):
    """How many of a template fit in every hour of the period."""

    template: TemplateName


class ConflictsQuestion(PeriodQuestion, frozen=True, kw_only=True):
    """Where the pool, and the pools inside it, are promised more than they have. It also reads the hours before the
    period, back to where such a run of hours began."""

    @property
    def scope(self) -> Scope:
        return Scope("tree", self.pool.partition(".")[0])


class ClusterQuestion(HourQuestion, frozen=True, kw_only=True):
    """A Magnum cluster in the current hour."""


class ResizesQuestion(PoolQuestion, frozen=True, kw_only=True):
    """The resizes of a cluster."""


class ProjectQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A question about the definitions of a project."""

    project: str
    csv: bool = False

    @property
    def scope(self) -> Scope:
        return Scope("pool", self.project)

    @property
    def hours(self) -> Period | None:
        return None

    def unknown(self) -> UnknownId:
        return UnknownId("project", "project", self.project)


class TemplatesQuestion(ProjectQuestion, frozen=True, kw_only=True):
    """A page of the templates of a project, at most `limit` after the version `after`; with `names`, also who made
    them."""

    names: bool = True
    after: tuple[str, int] | None = None
    limit: int


class AccountsQuestion(ProjectQuestion, frozen=True, kw_only=True):
    """A page of the accounts that a project lists, at most `limit` after the account `after`."""

    after: str = ""
    limit: int


class UsageQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What an account uses, in one project or in all (None). `account` is spelled as the client spelled it. The
    bookings of pools in `within` count."""

    account: str
    project: str | None
    period: Period
    grain: str | int
    zone: str
    dimensions: tuple[str, ...]
    csv: bool = False
    within: Sight = EVERYWHERE

    @property
    def scope(self) -> Scope:
        return Scope("all") if self.project is None else Scope("tree", self.project)

    @property
    def hours(self) -> Period:
        return self.period

    def unknown(self) -> UnknownId:
        return UnknownId("project", "project", self.project or "")


class EntitlementsQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What an account holds in an hour, in one project or in all (None). `account` is spelled as the client spelled it.
    The bookings of pools in `within` count."""

    account: str
    project: str | None
    hour: int
    csv: bool = False
    within: Sight = EVERYWHERE

    @property
    def scope(self) -> Scope:
        return Scope("all") if self.project is None else Scope("tree", self.project)

    @property
    def hours(self) -> Period:
        return Period(self.hour, self.hour + 1)

    def unknown(self) -> UnknownId:
        return UnknownId("project", "project", self.project or "")


class QuotaQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """One grant, of any project."""

    grant: UUID
    csv: bool = False

    @property
    def scope(self) -> Scope:
        return Scope("all")

    @property
    def hours(self) -> Period | None:
        return None

    def unknown(self) -> UnknownId:
        return UnknownId("id", "grant", str(self.grant))


class SeriesQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """One recurring booking, of any project."""

    series: UUID
    csv: bool = False

    @property
    def scope(self) -> Scope:
        return Scope("all")

    @property
    def hours(self) -> Period | None:
        return None

    def unknown(self) -> UnknownId:
        return UnknownId("id", "series", str(self.series))


class ProjectSizesQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of a project's Magnum clusters, added up. `calendar` has the view `openstack`."""

    calendar: CalendarQuestion

    @property
    def csv(self) -> bool:
        return self.calendar.csv

    @property
    def scope(self) -> Scope:
        return Scope("tree", self.calendar.pool)

    @property
    def hours(self) -> Period:
        return self.calendar.period

    def unknown(self) -> UnknownId:
        return self.calendar.unknown()
