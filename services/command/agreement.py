"""Whether the store and the stream have the same history. While they have not, this process takes no command.

The stream is ahead of the store after a failover to a standby that was behind, and after a restore to a point in time.
What it has and the store has not was acknowledged. If commands were taken then, their events would get the same
positions. So somebody gives the lost events back first: `hourbook heal`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from uuid import UUID

from shared.event_store.errors import Unsettled

LOOK_WAIT_S = 5.0  # how long a command waits for a look at the stream; NATS is unreachable then


class Agreement:
    """What the relay of this process has found when it looked at the stream; the command handler asks.

    `problem` says how they differ; None if they do not, or nobody has looked. `term` is the id of the term in which
    they agreed at the last look, None before the first. `refused` says why the last command was not taken, None if it
    was.
    """

    def __init__(self, want_look: Callable[[], None] = lambda: None) -> None:
        self._want_look = want_look
        self._changed = asyncio.Event()
        self._looks = self._looking = 0
        self.reachable = True
        self.term: UUID | None = None
        self.problem: str | None = None
        self.refused: str | None = None

    @property
    def why_closed(self) -> str | None:
        """Why no command is taken; None: commands are taken."""
        return self.problem or self.refused

    def agree(self, term: UUID) -> None:
        """A look found that the stream is a part of the store, or equal to it."""
        self.term, self.problem, self.refused, self.reachable = term, None, None, True
        self._looked()

    def differ(self, problem: str) -> None:
        """A look found that they differ."""
        self.problem, self.reachable = problem, True
        self._looked()

    def unreachable(self) -> None:
        """NATS cannot be asked. What the last look found stays."""
        self.reachable = False
        self._changed.set()

    def _looked(self) -> None:
        self._looks += 1
        self._changed.set()

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """A look is going on while the block runs."""
        self._looking = 1
        try:
            yield
        finally:
            self._looking = 0

    async def look_again(self) -> None:
        """Returns after a look that began later than now, or when NATS cannot be asked. Waits LOOK_WAIT_S at most."""
        wanted = self._looks + 1 + self._looking
        self._want_look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_WAIT_S):
                while self._looks < wanted and self.reachable:
                    self._changed.clear()
                    await self._changed.wait()

    def check(self, term: UUID) -> None:
        """Raises Unsettled while store and stream differ, or agree in another term than `term`."""
        if self.problem is not None:
            raise Unsettled(f"nothing is accepted: {self.problem}")
        if self.term is not None and self.term != term:
            raise Unsettled(
                "another primary of PostgreSQL takes the events now; this one was left behind", passing=True
            )
