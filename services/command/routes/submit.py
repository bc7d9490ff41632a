"""From a route to the command handler: the context of the request, its key, its turn, and the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from services.command.domain import Command, CreateSeries
from services.command.domain.commands import Context
from services.command.handler.handler import CommandHandler
from services.command.handler.queue import Entity
from services.command.keys import Keys
from services.command.lease_table import Leases
from services.command.routes.headers import AnyRequest, actor_of, is_dry_run, key_of
from services.command.routes.responses import Outcome, previewed, respond
from services.command.sessions import Sessions
from shared.errors import UnknownId
from shared.http.responses import EncodedResponse
from shared.http.sign_in import principal_in
from shared.identity.authenticator import Authenticator
from shared.identity.principals import Principal, trusted
from shared.ids import new_id
from shared.names import is_pool_id

if TYPE_CHECKING:  # where nobody signs in, the service starts sooner without it
    from shared.identity.code_flow import CodeFlow

# The project of a command, or a function that looks for it. If that raises UnknownId, the key keeps this refusal.
Project = str | Callable[[], Awaitable[str]]


class Parts(NamedTuple):
    """The parts of the service that routes use. `create_app` makes them, and keeps them in `app.state.parts`.

    `public_url` is the address at which people open the page, without a slash at its end; empty: nobody said it.
    `sessions` and `code_flows`, by the issuer's name, are for signing in on the page."""

    handler: CommandHandler
    keys: Keys
    webhook_hosts: Sequence[str]
    authenticator: Authenticator | None = None
    public_url: str = ""
    sessions: Sessions | None = None
    code_flows: Mapping[str, CodeFlow] = {}
    leases: Leases | None = None


def parts_of(request: AnyRequest) -> Parts:
    """The parts of the application that answers the request. By its key: as an attribute of the state, it takes six
    times as long to look up, and a command asks twice."""
    parts: Parts = request.app.state["parts"]
    return parts


def principal_of(request: AnyRequest) -> Principal:
    """Who asks. Where nobody signs in, whoever the header X-Hourbook-Actor names. Raises InvalidField for what cannot
    be a name."""
    if parts_of(request).authenticator is None:
        return trusted(actor_of(request))
    return principal_in(request)


async def make(
    request: AnyRequest,
    data: Any,
    project: Project,
    command: Command,
    command_id: UUID,
    entity: Callable[[UUID], str] = str,
) -> EncodedResponse[Outcome]:
    """Carries out a command that makes something. What it makes is named after the command: its id is `command_id`, or
    what `entity` makes of that. So the answer to a repeat can name what the first command made."""
    return await _carry_out(request, data, project, command, command_id, entity)


async def change(
    request: AnyRequest, data: Any, project: Project, command: Command, entity: str
) -> EncodedResponse[Outcome]:
    """Carries out a command on what the request names: `entity`."""
    return await _carry_out(request, data, project, command, new_id(), entity)


async def _carry_out(
    request: AnyRequest, data: Any, project: Project, command: Command, command_id: UUID, entity: Entity
) -> EncodedResponse[Outcome]:
    parts, principal = parts_of(request), principal_of(request)
    context = Context(command=command_id, principal=principal, at=datetime.now(UTC), reason=data.reason)
    dry_run = bool(request.scope["query_string"]) and is_dry_run(request)
    key = None if dry_run else key_of(request, principal.id, data)
    if not isinstance(project, str):
        try:
            project = await project()
        except UnknownId as refusal:
            return await parts.keys.refuse(key, refusal, unbounded=principal.unbounded)
    if dry_run:
        return previewed(await parts.handler.submit(project, command, context, dry_run=True))
    request_id, request_hash = (None, b"") if key is None else key
    result = await parts.handler.submit(project, command, context, request_id, request_hash, entity=entity)
    return respond(result, recurs=isinstance(command, CreateSeries))


def cluster_id(parent: str, name: str | None, command_id: UUID) -> str:
    """The id of a new cluster. Without a name it gets one, made of the id of the command that creates it."""
    return f"{parent}.{name or f'cluster-{command_id.hex[-12:]}'}"


def project_in(pool: str) -> str:
    """The project of a pool's id."""
    return pool.split(".", 1)[0]


def project_of(request: AnyRequest, entity: UUID, kind: str) -> Project:
    """Looks for the project of a grant, a booking or a series. Raises UnknownId for the field `id`."""
    return partial(parts_of(request).handler.project_of, entity, "id", kind)


def project_of_cluster(cluster: str) -> Project:
    """The project of a cluster named in a path. Raises UnknownId for an id that no cluster can have."""

    async def project() -> str:
        if not is_pool_id(cluster):
            raise UnknownId("id", "cluster", cluster)
        return project_in(cluster)

    return project
