"""The bell of the projector: it wakes those who follow the events in this process. They need not poll."""

from __future__ import annotations

import asyncio
import contextlib

UNHEARD_S = 1.0  # so often they look when nobody rings: another process may have the news


class Bell:
    """`ring` from one task, `wait` from another. It counts as rung when it was not for `unheard_s`."""

    def __init__(self, unheard_s: float = UNHEARD_S) -> None:
        self._rung, self._unheard_s = asyncio.Event(), unheard_s

    def ring(self) -> None:
        """There are new events, or there may be."""
        self._rung.set()

    async def wait(self, least_s: float) -> None:
        """Returns when the bell has rung since the last wait, after `least_s` at least."""
        await asyncio.sleep(least_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._unheard_s - least_s):
                await self._rung.wait()
        self._rung.clear()
