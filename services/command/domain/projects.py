"""Projects: created once, and never ended."""

from __future__ import annotations

from services.command.domain.commands import Context, CreateProject
from services.command.domain.event_fields import meta_of
from services.command.domain.state import ProjectState
from shared.errors import AlreadyExists
from shared.events import Event, ProjectCreated


def create_project(state: ProjectState, command: CreateProject, context: Context) -> list[Event]:
    if state.name is not None:
        raise AlreadyExists(f"id: the project {command.project!r} exists; choose another id", id=command.project)
    meta = meta_of(context, command.project)
    return [ProjectCreated(name=command.name, overcommit=command.overcommit, **meta)]
