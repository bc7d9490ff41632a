"""Fields that many events have in common."""

from __future__ import annotations

from typing import Any

from services.command.domain.commands import Context
from shared.hours import Period, instant_of


def meta_of(context: Context, project: str) -> dict[str, Any]:
    """The fields of every event: when, who, by which command, why, and in which project."""
    return {
        "at": context.at,
        "actor": context.principal.id,
        "auth": context.principal.auth,
        "command": context.command,
        "reason": context.reason,
        "project": project,
    }


def times_of(period: Period) -> dict[str, Any]:
    """The fields `start` and `end` of an event: UTC instants, the end excluded."""
    return {"start": instant_of(period.start), "end": instant_of(period.end)}
