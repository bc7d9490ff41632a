"""The writes of the HTTP interface: a body becomes a command, the handler's answer becomes a response."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, ClassVar
from uuid import UUID, uuid5

import msgspec
import uuid_utils
from litestar import Controller, Request, post
from litestar.params import FromPath, JSONBody

from services.command.domain import (
    CancelBooking,
    Command,
    CreateBooking,
    CreateCluster,
    CreateGrant,
    CreateProject,
    ResizeCluster,
    WithdrawGrant,
)
from services.command.domain.commands import Context
from services.command.handler import Answer, CommandHandler
from services.command.requests import (
    BookingRequest,
    ClusterRequest,
    GrantRequest,
    ProjectRequest,
    ReasonRequest,
    ResizeRequest,
)
from shared.answer import Encoded
from shared.errors import InvalidField
from shared.hours import parse_instant, parse_period, parse_zone

# Idempotency keys belong to an actor, so that two people may both count from 1.
KEYS = UUID("6f0f7ee0-7c1e-5b52-9b2e-6a4f1b7f0c11")
TEXT_MAX = 200

AnyRequest = Request[Any, Any, Any]


class Commands(Controller):
    """Every command: 201 with `id`, `position`, `version`, `decided`; 200 on a repeat, or where it was so."""

    handler: ClassVar[CommandHandler]

    @post("/projects/create")
    async def create_project(self, request: AnyRequest, data: JSONBody[ProjectRequest]) -> Encoded[Decided]:
        return await self._do(request, data, data.id, CreateProject(project=data.id, name=data.name), data.id)

    @post("/resources/create")
    async def create_grant(self, request: AnyRequest, data: JSONBody[GrantRequest]) -> Encoded[Decided]:
        grant, period = new_id(), parse_period(data.startdate, data.enddate, parse_zone(data.tz))
        command = CreateGrant(grant=grant, period=period, capacity=data.capacity(), source=data.source)
        return await self._do(request, data, data.project, command, str(grant), grant)

    @post("/resources/{grant:uuid}/withdraw")
    async def withdraw_grant(
        self, request: AnyRequest, grant: FromPath[UUID], data: JSONBody[ReasonRequest | None] = None
    ) -> Encoded[Decided]:
        project = await self.handler.project_of(grant, "id", "grant")
        return await self._do(request, data or ReasonRequest(), project, WithdrawGrant(grant=grant), str(grant))

    @post("/clusters/create")
    async def create_cluster(self, request: AnyRequest, data: JSONBody[ClusterRequest]) -> Encoded[Decided]:
        command_id = new_id()
        cluster = f"{data.parent}.{data.name or f'cluster-{command_id.hex[-12:]}'}"
        period = parse_period(data.startdate, data.enddate, parse_zone(data.tz))
        command = CreateCluster(
            cluster=cluster, parent=data.parent, kind=data.kind, period=period, capacity=data.capacity()
        )
        return await self._do(request, data, project_in(data.parent), command, cluster, command_id)

    @post("/clusters/{cluster:str}/resize")
    async def resize_cluster(
        self, request: AnyRequest, cluster: FromPath[str], data: JSONBody[ResizeRequest]
    ) -> Encoded[Decided]:
        zone = parse_zone(data.tz)
        start = None if data.startdate is None else parse_instant(data.startdate, "startdate", zone)
        end = None if data.enddate is None else parse_instant(data.enddate, "enddate", zone, is_end=True)
        command = ResizeCluster(cluster=cluster, capacity=data.capacity(), start=start, end=end)
        return await self._do(request, data, project_in(cluster), command, cluster)

    @post("/bookings/create")
    async def create_booking(self, request: AnyRequest, data: JSONBody[BookingRequest]) -> Encoded[Decided]:
        pool = pool_of(data)
        booking, period = new_id(), parse_period(data.startdate, data.enddate, parse_zone(data.tz))
        command = CreateBooking(
            booking=booking, pool=pool, account=data.account, period=period, capacity=data.capacity()
        )
        return await self._do(request, data, project_in(pool), command, str(booking), booking)

    @post("/bookings/{booking:uuid}/cancel")
    async def cancel_booking(
        self, request: AnyRequest, booking: FromPath[UUID], data: JSONBody[ReasonRequest | None] = None
    ) -> Encoded[Decided]:
        project = await self.handler.project_of(booking, "id", "booking")
        return await self._do(request, data or ReasonRequest(), project, CancelBooking(booking=booking), str(booking))

    async def _do(
        self,
        request: AnyRequest,
        data: Any,
        project: str,
        command: Command,
        entity: str,
        command_id: UUID | None = None,
    ) -> Encoded[Decided]:
        actor = header(request, "X-Hourbook-Actor") or "anonymous"
        context = Context(command=command_id or new_id(), actor=actor, at=datetime.now(UTC), reason=data.reason)
        key = header(request, "Idempotency-Key")
        if key is None:
            return respond(entity, await self.handler.submit(project, command, context))
        request_hash = blake2b(msgspec.json.encode([request.url.path, data]), digest_size=16).digest()
        request_id = uuid5(KEYS, f"{actor}\n{key}")
        return respond(entity, await self.handler.submit(project, command, context, request_id, request_hash))


class Decided(msgspec.Struct, frozen=True):
    """What a command answers."""

    id: str
    position: int
    version: int
    decided: list[dict[str, Any]]


def respond(entity: str, answer: Answer) -> Encoded[Decided]:
    """201 for what is new, 200 for a repeat (with the id that was given out then) and for what was so already."""
    if answer.repeated:
        entity = entity_of(answer.decided[0])
    body = b'{"id":"%b","position":%d,"version":%d,"decided":[%b]}' % (
        entity.encode(), answer.position, answer.version, b",".join(answer.decided)
    )  # fmt: skip
    return Encoded(body, status_code=200 if answer.repeated or not answer.decided else 201)


class _Entity(msgspec.Struct):
    project: str
    booking: str | None = None
    grant: str | None = None
    cluster: str | None = None


def entity_of(stored: bytes) -> str:
    """The id of what an event is about."""
    event = msgspec.json.decode(stored, type=_Entity)
    return event.booking or event.grant or event.cluster or event.project


def new_id() -> UUID:
    """A UUIDv7. A grant's and a booking's id is also the id of the command that made it."""
    return UUID(int=uuid_utils.uuid7().int)


def project_in(pool: str) -> str:
    return pool.split(".", 1)[0]


def pool_of(data: BookingRequest) -> str:
    if data.clusterid is None:
        if data.project is None:
            raise InvalidField("project", "give a project or a clusterid to book")
        return data.project
    if data.project is not None and project_in(data.clusterid) != data.project:
        raise InvalidField("project", f"{data.clusterid!r} is not in {data.project!r}; give one of the two")
    return data.clusterid


def header(request: AnyRequest, name: str) -> str | None:
    wanted = name.lower().encode()
    raw = next((value for field, value in request.scope["headers"] if field == wanted), None)
    if raw is None:
        return None
    value: str = raw.decode("latin-1").strip()
    if not 0 < len(value) <= TEXT_MAX:
        raise InvalidField(name, f"give 1 to {TEXT_MAX} characters")
    return value
