"""Copies of a state that cost only what is changed afterwards: a what-if copy, and one that never changes."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable
from typing import Any, Protocol, Self, TypeVar

import msgspec

from services.command.domain.state import Account, Pool, ProjectState


class Forkable(Protocol):
    def fork(self) -> Self: ...


Forked = TypeVar("Forked", bound=Forkable)
Frozen = TypeVar("Frozen", Pool, Account)
AT_ONCE = 256  # pools and accounts: a few milliseconds


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


class Freezing:
    """Freezes a state with some of its pools and accounts, in turns: there may be thousands, and nobody shall wait for
    all. Those that change meanwhile are frozen too."""

    def __init__(self, state: ProjectState, pools: Iterable[str], accounts: Iterable[str]) -> None:
        self.state = state
        self._due_pools, self._due_accounts = set(pools), set(accounts)
        self._pools, self._accounts = dict[str, Pool](), dict[str, Account]()
        self._turns = 2 + 2 * (len(self._due_pools) + len(self._due_accounts)) // AT_ONCE  # then all the rest at once

    def go_on(self) -> ProjectState | None:
        """Freezes the next AT_ONCE pools and accounts, and those again that were `touched` since. Returns the copy of
        the state as it is now, or None: it needs another turn."""
        state, touched = self.state, self.state.touched
        self._due_pools |= touched & state.pools.keys()
        self._due_accounts |= touched & state.accounts.keys()
        state.touched = set()
        self._turns -= 1
        left = self._freeze(self._due_pools, state.pools, self._pools, AT_ONCE)
        self._freeze(self._due_accounts, state.accounts, self._accounts, left)
        if self._due_pools or self._due_accounts:
            return None
        return freeze(state, _in_order(self._pools, state.pools), _in_order(self._accounts, state.accounts))

    def _freeze(self, due: set[str], originals: dict[str, Frozen], copies: dict[str, Frozen], most: int) -> int:
        """Returns how many more may be frozen in this turn."""
        while due and (most > 0 or self._turns <= 0):
            name = due.pop()
            copies[name] = originals[name].freeze()
            most -= 1
        return most


def _in_order(copies: dict[str, Frozen], originals: dict[str, Frozen]) -> dict[str, Frozen]:
    return {name: copies[name] for name in originals if name in copies}


def freeze(
    state: ProjectState, pools: dict[str, Pool] | None = None, accounts: dict[str, Account] | None = None
) -> ProjectState:
    """A copy that never changes, so that another thread can read it while this one changes `state`. It has the pools
    and accounts that are given, which are frozen; None: all.

    To freeze a pool takes microseconds. After it, `state` copies each page of a timeline when it first writes to it.
    """
    return msgspec.structs.replace(
        state,
        pools={name: pool.freeze() for name, pool in state.pools.items()} if pools is None else pools,
        grants=dict(state.grants),
        bookings=state.bookings.freeze(),
        templates={name: [*versions] for name, versions in state.templates.items()},
        accounts={name: one.freeze() for name, one in state.accounts.items()} if accounts is None else accounts,
        requests=dict(state.requests),
        resize_outcomes=dict(state.resize_outcomes),
        series=dict(state.series),
        tentative={},
        names=set(state.names),
        bindings=dict(state.bindings),
        members=dict(state.members),
        touched=set(),
    )
