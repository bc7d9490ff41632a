"""Copies of a state that cost what is changed in them: to try out what events would make of it, and to read it in
another thread."""

from __future__ import annotations

from collections import ChainMap
from typing import Any, Protocol, Self, TypeVar

import msgspec

from services.command.domain.state import ProjectState


class Sketchable(Protocol):
    def sketch(self) -> Self: ...


Sketched = TypeVar("Sketched", bound=Sketchable)


class Sketches(dict[str, Sketched]):
    """The same pools or accounts, each sketched when it is first looked at: of thousands, an event is about a few."""

    def __init__(self, originals: dict[str, Sketched]) -> None:
        super().__init__(originals)
        self._sketched: set[str] = set()

    def __getitem__(self, name: str) -> Sketched:
        if name not in self._sketched:
            self[name] = super().__getitem__(name).sketch()
            self._sketched.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401  (which would call itself)


def sketch(state: ProjectState) -> ProjectState:
    """A copy that `evolve` may change without changing `state`, and that costs what is changed in it."""
    return msgspec.structs.replace(
        state,
        pools=Sketches(state.pools),
        grants=ChainMap({}, state.grants),
        bookings=ChainMap({}, state.bookings),
        requests=dict(state.requests),
        settled=ChainMap({}, state.settled),
        accounts=Sketches(state.accounts),
        tentative=dict(state.tentative),
        names=set(),
        series=ChainMap({}, state.series),
    )


def lend(state: ProjectState) -> ProjectState:
    """The state as it is now, for good, to be read in another thread while this one goes on. It takes milliseconds:
    what is written next is copied then."""
    return msgspec.structs.replace(
        state,
        pools={name: pool.lend() for name, pool in state.pools.items()},
        grants=dict(state.grants),
        bookings=dict(state.bookings),
        templates={name: [*versions] for name, versions in state.templates.items()},
        accounts={name: account.lend() for name, account in state.accounts.items()},
        requests=dict(state.requests),
        settled=dict(state.settled),
        series=dict(state.series),
        tentative={},
        names=set(),
    )
