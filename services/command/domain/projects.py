"""Projects: created once, and never ended."""

from __future__ import annotations

from services.command.domain.commands import Context, CreateProject
from services.command.domain.event_fields import meta_of
from services.command.domain.state import ProjectState
from shared.errors import AlreadyExists
from shared.events import Event, ProjectCreated, RoleGranted


def create_project(state: ProjectState, command: CreateProject, context: Context) -> list[Event]:
    """Whoever creates a project becomes its admin, unless the command names another."""
    if state.name is not None:
        raise AlreadyExists(f"id: the project {command.project!r} exists; choose another id", id=command.project)
    meta = meta_of(context, command.project)
    created = ProjectCreated(name=command.name, overcommit=command.overcommit, **meta)
    if (admin := command.admin or context.principal.person) is None:  # nobody signs in, or a token of the operator
        return [created]
    return [created, RoleGranted(pool=command.project, role="admin", member=admin, **meta)]
