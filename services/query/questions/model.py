"""What is asked beside a pool's hours in blocks: frozen values in their normal form, which are equal when they are the
same question. `csv` is the form of the answer."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import msgspec

from services.query.answers.cache import Scope
from services.query.questions.parameters import Selection, TemplateName, unknown_pool
from shared.errors import UnknownId
from shared.hours import Period

Counts = tuple[int, int, int, int, int, int]


class PoolQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """About one pool; `field` is the parameter that named it."""

    field: str
    pool: str
    csv: bool = False

    @property
    def scope(self) -> Scope:
        return Scope("pool", self.pool)

    def unknown(self) -> UnknownId:
        return unknown_pool(self.field, self.pool)


class NowQuestion(PoolQuestion, frozen=True, kw_only=True):
    """What is free in the hour that is running, and how many of each template."""

    hour: int


class SlotsQuestion(PoolQuestion, frozen=True, kw_only=True):
    """Where `duration` hours of counts, of a template, or of a share (in basis points) fit; from `earliest` on, which
    is in the period."""

    period: Period
    earliest: int
    duration: int
    counts: Counts | None = None
    template: TemplateName | None = None
    count: int = 1
    share: int = 0
    limit: int = 10


class MostQuestion(PoolQuestion, frozen=True, kw_only=True):
    """How many of a template fit throughout the period."""

    period: Period
    template: TemplateName


class ConflictsQuestion(PoolQuestion, frozen=True, kw_only=True):
    """Where the pool, or what is in it, is promised more than it has."""

    looks_back: ClassVar[bool] = True  # to where that began

    period: Period

    @property
    def scope(self) -> Scope:
        return Scope("tree", self.pool.partition(".")[0])


class ClusterQuestion(PoolQuestion, frozen=True, kw_only=True):
    """A Magnum cluster in the hour that is running."""

    hour: int


class ResizesQuestion(PoolQuestion, frozen=True, kw_only=True):
    """The resizes of a cluster."""


class ProjectQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """About what a project defines."""

    project: str
    csv: bool = False

    @property
    def scope(self) -> Scope:
        return Scope("pool", self.project)

    def unknown(self) -> UnknownId:
        return UnknownId("project", "project", self.project)


class TemplatesQuestion(ProjectQuestion, frozen=True, kw_only=True):
    pass


class AccountsQuestion(ProjectQuestion, frozen=True, kw_only=True):
    pass


class UsageQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What an account, as it is spelled by whoever asks, uses of one project or of all."""

    account: str
    project: str | None
    period: Period
    grain: str | int
    zone: str
    dimensions: tuple[str, ...]
    csv: bool = False

    @property
    def scope(self) -> Scope:
        return Scope("all") if self.project is None else Scope("tree", self.project)

    def unknown(self) -> UnknownId:
        return UnknownId("project", "project", self.project or "")


class QuotaQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """One grant, of whichever project."""

    grant: UUID
    csv: bool = False

    @property
    def scope(self) -> Scope:
        return Scope("all")

    def unknown(self) -> UnknownId:
        return UnknownId("id", "grant", str(self.grant))


class ProjectSizesQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of a project's Magnum clusters, together. `selection` is of the view `rows`."""

    selection: Selection

    @property
    def csv(self) -> bool:
        return self.selection.csv

    @property
    def scope(self) -> Scope:
        return Scope("tree", self.selection.pool)

    def unknown(self) -> UnknownId:
        return self.selection.unknown()
