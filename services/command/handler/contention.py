"""Which projects another process has written to lately."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

CONTENDED_S = 5.0


class Contention:
    """While a project is contended, the append lock comes first and the decision after it: a decision without the lock
    would often fail, and each failure costs the state in memory."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def note(self, projects: Iterable[str]) -> None:
        """Another process wrote to these projects."""
        now = asyncio.get_running_loop().time()
        self._until = {project: until for project, until in self._until.items() if until > now}
        self._until |= dict.fromkeys(projects, now + CONTENDED_S)

    def among(self, projects: Iterable[str]) -> bool:
        """Whether one of these projects is contended now."""
        if not self._until:
            return False
        now = asyncio.get_running_loop().time()
        return any(self._until.get(project, 0.0) > now for project in projects)
