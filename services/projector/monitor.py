"""The projector's HTTP server: /health says whether the read models go on, /live that the process answers,
/metrics is for Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from shared.http.entrance import LOCAL, Entrance
from shared.http.monitoring import monitoring
from shared.progress import STALL_S, standing_of
from shared.telemetry import Telemetry
from shared.trouble import Trouble

log = logging.getLogger(__name__)

CHECK_S = 5.0


class Watch:
    """Checks every few seconds in the database whether the live read models go on, and logs when they do not.

    /health says why not. Where principals sign in (`tells` is False) it does not repeat the error of an event, which
    may hold a name: the log and `hourbook status` have it."""

    def __init__(self, telemetry: Telemetry, stall_s: float = STALL_S, *, tells: bool = True) -> None:
        self._telemetry, self._stall_s, self._tells = telemetry, stall_s, tells
        self._trouble = Trouble(log, "read models")

    async def run(self) -> None:
        while True:
            why = (await self.standing())[1]
            if why is None:
                self._trouble.clear()
            else:
                self._trouble.report(why)
            await asyncio.sleep(min(CHECK_S, self._stall_s / 4))

    async def told(self) -> tuple[str, str | None]:
        """What /health tells: as `standing`, without the error of an event if strangers may read it."""
        state, why = await self.standing()
        if state == "parked" and not self._tells:
            why = "an event cannot be applied; the log and `hourbook status` say which one, and why"
        return state, why

    async def standing(self) -> tuple[str, str | None]:
        """The state ("ok", "parked", …) and why it is not "ok"."""
        progress = await self._telemetry.progress()
        if progress is None:
            return "unreachable", "the database cannot be read"
        return standing_of(progress, self._stall_s)


@contextlib.asynccontextmanager
async def monitored(
    host: str, port: int, telemetry: Telemetry, position: Callable[[], int], watch: Watch, entrance: Entrance = LOCAL
) -> AsyncIterator[None]:
    """Answers /health, /live and /metrics while the block runs. Raises PortTaken."""

    async def health() -> tuple[int, dict[str, Any]]:
        state, why = await watch.told()
        return 200 if state == "ok" else 503, {"position": position(), "state": state, "why": why}

    async with monitoring(host, port, "HOURBOOK_PROJECTOR_PORT", telemetry, health, entrance):
        yield
