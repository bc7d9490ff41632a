"""How much memory the states of the projects hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from services.command.domain import ProjectState
from services.command.domain.bounds import ACCOUNT_BYTES, CLAIM_BYTES, GROUP_BYTES, POOL_BYTES, SMALL_BYTES


class Size(NamedTuple):
    """Roughly the bytes that a state held at a version."""

    version: int
    held: int


class Sizes:
    """The size of each project's state, as it was measured last."""

    def __init__(self) -> None:
        self._sizes: dict[str, Size] = {}

    def measure(self, project: str, state: ProjectState) -> None:
        """Measures a state: a microsecond a pool, so a state with many pools is not measured each time."""
        last = self._sizes.get(project)
        if last is None or state.version - last.version > (len(state.pools) + len(state.accounts)) // 100:
            self._sizes[project] = Size(state.version, size_of(state))

    def of(self, projects: Iterable[str]) -> int:
        """What the projects hold together."""
        return sum(size.held for project in projects if (size := self._sizes.get(project)) is not None)

    def forget(self, project: str) -> int:
        """How much the project held."""
        size = self._sizes.pop(project, None)
        return 0 if size is None else size.held


def size_of(state: ProjectState) -> int:
    """Roughly the bytes that a state holds in memory."""
    claims = len(state.grants) + state.bookings.loose() + len(state.requests)
    named = POOL_BYTES * len(state.pools) + ACCOUNT_BYTES * len(state.accounts) + state.bookings.nbytes()
    small = len(state.names) + len(state.series) + len(state.resize_outcomes)
    small += sum(len(many) for each in (state.templates, state.bindings, state.members) for many in each.values())
    layouts = [one.layout for many in (state.pools, state.requests) for one in many.values() if one.layout is not None]
    named += GROUP_BYTES * sum(len(layout.groups) for layout in layouts)
    return state.timeline_bytes + CLAIM_BYTES * claims + named + SMALL_BYTES * small
