"""Templates: capacities with a name, which never change. A flavor of OpenStack is one."""

from __future__ import annotations

from services.command.domain.capacity_check import require_non_zero
from services.command.domain.commands import Context, CreateTemplate, TemplateCount
from services.command.domain.event_fields import meta_of
from services.command.domain.state import ProjectState
from shared.capacity import COUNT_MAX, Capacity, capacity_of
from shared.errors import InvalidField
from shared.events import Event, FromTemplate, TemplateCreated

NAMED_MAX = 20  # in an error


def create_template(state: ProjectState, project: str, command: CreateTemplate, context: Context) -> list[Event]:
    """Makes the next version. No event if the newest is the same."""
    require_non_zero(command.capacity)
    versions = state.templates.get(command.template, [])
    if versions and versions[-1] == command.capacity:
        return []
    meta = meta_of(context, project)
    return [TemplateCreated(template=command.template, version=len(versions) + 1, capacity=command.capacity, **meta)]


def resolve(state: ProjectState, wanted: TemplateCount) -> tuple[Capacity, FromTemplate]:
    """The counts of the template, and the version that the event names. Raises InvalidField."""
    version, capacity = version_of(state, wanted.name, wanted.version, "template")
    counts = [count * wanted.count for count in capacity.counts()]
    if max(counts) > COUNT_MAX:
        raise InvalidField("count", f"{wanted.count} times {wanted.name!r} is more than {COUNT_MAX}")
    return capacity_of(counts), FromTemplate(name=wanted.name, version=version, count=wanted.count)


def version_of(state: ProjectState, name: str, version: int | None, field: str) -> tuple[int, Capacity]:
    """A version of a template and its capacity. `version` None: the newest. Raises InvalidField for `field`."""
    versions = state.templates.get(name)
    if not versions:
        known = ", ".join(sorted(state.templates)[:NAMED_MAX]) or "none yet: POST /templates/create makes one"
        if len(state.templates) > NAMED_MAX:
            known += f" and {len(state.templates) - NAMED_MAX} others"
        raise InvalidField(field, f"there is no template {name!r} in the project; there are {known}")
    number = len(versions) if version is None else version
    if not 1 <= number <= len(versions):
        raise InvalidField(f"{field}_version", f"{name!r} has the versions 1 to {len(versions)}")
    return number, versions[number - 1]
