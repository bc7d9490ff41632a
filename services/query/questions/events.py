"""Filters: which events a page, a live subscription or a page of the refusal log shows."""

from __future__ import annotations

from datetime import datetime

import msgspec

from services.query.questions.sight import EVERYWHERE, Sight
from shared.event_store import POSITION_MAX
from shared.names import spellings


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a page: all given conditions hold. Positions lie between `after` and `before`, both excluded.

    `types` means any of them. `since` (included) and `until` (excluded) bound the instant of the decision. The events
    are those about pools in `within`.
    """

    after: int = 0
    before: int = POSITION_MAX
    project: str | None = None
    types: tuple[str, ...] | None = None
    actor: str | None = None
    account: str | None = None
    pool: str | None = None
    entity: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    within: Sight = EVERYWHERE

    @property
    def narrowed(self) -> bool:
        """Whether events that match everything else may lie outside of `within`."""
        if self.within.everything or (self.project is not None and self.within.has(self.project)):
            return False
        return self.pool is None or not self.within.has(self.pool)

    def keys(self) -> dict[str, str]:
        """The index columns that can find these events, with the value to look for."""
        given = {
            "entity": self.entity,
            "account": self.account,
            "pool": self.pool,
            "actor": self.actor,
            "type": self.types[0] if self.types is not None and len(self.types) == 1 else None,
            "project": self.project,
        }
        return {column: key for column, key in given.items() if key is not None}

    def spelled(self) -> list[EventFilter]:
        """One filter for each spelling in which its actor and its account may be stored."""
        actors: tuple[str | None, ...] = (None,) if self.actor is None else spellings(self.actor)
        accounts: tuple[str | None, ...] = (None,) if self.account is None else spellings(self.account)
        if len(actors) == len(accounts) == 1:
            return [self]
        return [msgspec.structs.replace(self, actor=actor, account=account) for actor in actors for account in accounts]


class SubscriptionFilter(msgspec.Struct, frozen=True):
    """The events or notices that a subscriber gets: of a project, and of some types. None means all."""

    project: str | None = None
    types: frozenset[str] | None = None

    def takes(self, project: str, kind: str) -> bool:
        return (self.project is None or project == self.project) and (self.types is None or kind in self.types)


class RefusalFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The refusals of a page: all given conditions hold. `since` is included, `until` is not; `at_most` is the newest
    instant that a page of the past shows. `actor` has each spelling in which the name may be stored."""

    newest_first: bool
    after: int
    project: str | None = None
    actor: tuple[str, ...] | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    at_most: datetime | None = None
