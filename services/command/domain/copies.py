"""Copies of a state that cost only what is changed afterwards: a what-if copy, and one that never changes."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable
from typing import Any, Protocol, Self, TypeVar

import msgspec

from services.command.domain.state import ProjectState


class Forkable(Protocol):
    def fork(self) -> Self: ...


Forked = TypeVar("Forked", bound=Forkable)


class ForkedOnRead(dict[str, Forked]):
    """A copy of a dict of pools or accounts. A value is forked when it is first read by its name: there may be
    thousands, and an event changes a few. `values()` and `items()` give the originals: change none of these."""

    def __init__(self, originals: dict[str, Forked]) -> None:
        super().__init__(originals)
        self._forked: set[str] = set()

    def __getitem__(self, name: str) -> Forked:
        if name not in self._forked:
            self[name] = super().__getitem__(name).fork()
            self._forked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default


def fork(state: ProjectState) -> ProjectState:
    """A what-if copy: `evolve` may change it, and `state` stays as it is. Forget the copy before `state` is changed."""
    return msgspec.structs.replace(
        state,
        pools=ForkedOnRead(state.pools),
        grants=ChainMap({}, state.grants),
        bookings=state.bookings.fork(),
        requests=dict(state.requests),
        resize_outcomes=ChainMap({}, state.resize_outcomes),
        accounts=ForkedOnRead(state.accounts),
        tentative=dict(state.tentative),
        names=set(),
        series=ChainMap({}, state.series),
        bindings=dict(state.bindings),
        members=dict(state.members),
        touched=set(),
    )


def freeze(
    state: ProjectState, pools: Iterable[str] | None = None, accounts: Iterable[str] | None = None
) -> ProjectState:
    """A copy that never changes, so that another thread can read it while this one changes `state`. It has these pools
    and accounts; None: all.

    Making it takes microseconds a pool. After it, `state` copies each page of a timeline when it first writes to it.
    """
    return msgspec.structs.replace(
        state,
        pools={name: state.pools[name].freeze() for name in (state.pools if pools is None else pools)},
        grants=dict(state.grants),
        bookings=state.bookings.freeze(),
        templates={name: [*versions] for name, versions in state.templates.items()},
        accounts={name: state.accounts[name].freeze() for name in (state.accounts if accounts is None else accounts)},
        requests=dict(state.requests),
        resize_outcomes=dict(state.resize_outcomes),
        series=dict(state.series),
        tentative={},
        names=set(state.names),
        bindings=dict(state.bindings),
        members=dict(state.members),
        touched=set(),
    )
