"""The decisions: pure functions from a project's state and a command to events, or to the exact refusal."""

from services.command.domain.commands import (
    CancelBooking,
    Command,
    CreateBooking,
    CreateCluster,
    CreateGrant,
    CreateProject,
    ResizeCluster,
    WithdrawGrant,
)
from services.command.domain.decide import decide
from services.command.domain.state import ProjectState, evolve

__all__ = [
    "CancelBooking",
    "Command",
    "CreateBooking",
    "CreateCluster",
    "CreateGrant",
    "CreateProject",
    "ProjectState",
    "ResizeCluster",
    "WithdrawGrant",
    "decide",
    "evolve",
]
