"""How the store and the stream differ. Pure: it takes events and messages, and asks no server."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from nats.js.api import RawStreamMsg

from shared.stream_messages import Leaf, difference

SHOWN_MAX = 20


class Difference(NamedTuple):
    """At `position` the message is not the event; `how` says how."""

    position: int
    how: str


class Case(Enum):
    """Which of the two has what the other has not. The text says it in a few words."""

    SAME = "the stream and the store are the same"
    STREAM_BEHIND = "the stream is behind the store"
    LOST = "the store has lost what the stream has"
    FORKED = "the store and the stream have gone on differently"
    CHANGED = "messages of the stream were changed"


class Ends(NamedTuple):
    """Where both end: the last position of the store, and the last one of the stream."""

    store: int
    stream: int

    @property
    def common(self) -> int:
        """The last position that both have."""
        return min(self)


class Compared(NamedTuple):
    """The outcome of the comparison of all common positions.

    same           the last position at which both are the same, 0 if there is none
    changed        how many messages up to `same` are not their events; `examples` are the first of them
    missing        how many messages are not in the stream any more
    forked         how many of the last common positions differ, in one piece up to the end
    fork_examples  the first of those
    """

    ends: Ends
    same: int
    changed: int
    examples: tuple[Difference, ...]
    missing: int
    forked: int
    fork_examples: tuple[Difference, ...]

    @property
    def lost(self) -> int:
        """How many events the stream has and the store has not, if the store has not gone on otherwise."""
        return 0 if self.forked else max(0, self.ends.stream - self.ends.store)

    @property
    def case(self) -> Case:
        if self.forked:
            return Case.FORKED
        if self.lost:
            return Case.LOST
        if self.changed:
            return Case.CHANGED
        return Case.STREAM_BEHIND if self.ends.stream < self.ends.store or self.missing else Case.SAME


class Comparer:
    """Takes the common positions in their order, and tells what it has found.

    Messages that differ in the middle were changed there. If the last ones differ, the histories have parted.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._same = self._changed = self._missing = self._waiting = 0
        self._examples: list[Difference] = []
        self._waiting_examples: list[Difference] = []

    def take(self, leaves: Sequence[Leaf], messages: Sequence[RawStreamMsg | None]) -> None:
        """The next stored events, and their messages; None for one that is not there."""
        for leaf, message in zip(leaves, messages, strict=True):
            if message is None:
                self._missing += 1
            elif (how := difference(leaf, message)) is None:
                self._take_same(leaf.position)
            else:
                self._waiting += 1
                if len(self._waiting_examples) < SHOWN_MAX:
                    self._waiting_examples.append(Difference(leaf.position, how))

    def _take_same(self, position: int) -> None:
        """What has differed before this position has differed in the middle."""
        self._same = position
        if self._waiting:
            self._changed += self._waiting
            self._examples = (self._examples + self._waiting_examples)[:SHOWN_MAX]
            self._waiting, self._waiting_examples = 0, []

    def compared(self) -> Compared:
        return Compared(
            self._ends,
            self._same,
            self._changed,
            tuple(self._examples),
            self._missing,
            self._waiting,
            tuple(self._waiting_examples),
        )
