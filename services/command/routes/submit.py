"""What all commands share: the context of a request, its turn in the handler, and the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import Any, ClassVar
from urllib.parse import parse_qs
from uuid import UUID, uuid5

import msgspec
import uuid_utils
from litestar import Controller, Request, delete, post
from litestar.openapi.spec import Operation, Parameter, Schema
from litestar.openapi.spec.enums import OpenAPIType

from services.command.domain import Command
from services.command.domain.commands import Context
from services.command.handler.handler import CommandHandler
from services.command.handler.queue import Answer, halves
from services.command.keys import REPEATED, Key, Keys, again
from shared.errors import InvalidField, UnknownId
from shared.hours import Period, iso
from shared.http.openapi import response
from shared.http.problems import Problem, problem_body
from shared.http.responses import Encoded
from shared.names import TEXT_MAX, checked_name, checked_text, is_pool_id

# Idempotency keys belong to an actor, so that two people may both count from 1.
KEYS = UUID("6f0f7ee0-7c1e-5b52-9b2e-6a4f1b7f0c11")
ACTOR, KEY = "X-Hourbook-Actor", "Idempotency-Key"
FIELDS = {name: name.lower().encode() for name in (ACTOR, KEY)}  # as they come
# Events of commands on what their path names, which may be a series: the id is not that of the first event.
OF_THE_PATH = (b'{"type":"BookingAmended"', b'{"type":"BookingCancelled"')

AnyRequest = Request[Any, Any, Any]


class KeyedOperation(Operation):
    """An operation of the OpenAPI document, with what every write takes beside its body."""

    def to_schema(self) -> dict[str, Any]:
        own = super().to_schema()
        return own | {"parameters": own.get("parameters", []) + [one.to_schema() for one in self.beside()]}

    def beside(self) -> list[Parameter]:
        text = Schema(type=OpenAPIType.STRING, max_length=TEXT_MAX)
        key = "A repeat with the same key is answered as the first time, whatever that was, and carried out once."
        return [
            Parameter(name=KEY, param_in="header", schema=text, description=key),
            Parameter(name=ACTOR, param_in="header", schema=text, description="Who asks."),
        ]


class CommandOperation(KeyedOperation):
    """As above, of a command, which may be tried."""

    def beside(self) -> list[Parameter]:
        boolean = Schema(type=OpenAPIType.BOOLEAN)
        dry_run = "Decide and answer what would happen; append nothing."
        return [Parameter(name="dry_run", param_in="query", schema=boolean, description=dry_run), *super().beside()]


class Series(msgspec.Struct, frozen=True):
    """A recurring booking as a whole: the id of all its occurrences, and what to POST to for all of them."""

    id: str
    amend: str
    cancel: str


class Decided(msgspec.Struct, frozen=True):
    """What a command answers. `occurrences` and `series` only where the command recurs."""

    id: str
    position: int
    version: int
    decided: list[dict[str, Any]]
    occurrences: list[dict[str, Any]] | None = None
    series: Series | None = None


class Span(msgspec.Struct, frozen=True):
    """Two UTC instants, the end excluded."""

    start: str
    end: str


class Previewed(msgspec.Struct, frozen=True):
    """What a dry run answers: what would be `decided`, or the `problem` with the `nearest` period that would do."""

    dry_run: bool
    accepted: bool
    position: int
    version: int
    decided: list[dict[str, Any]]
    problem: Problem | None
    nearest: Span | None


ANSWERED = response(Decided | Previewed, "A repeat, what was so already, or a dry run: nothing new is stored.")
DECIDED = response(Decided | Previewed, "What was decided, now or before, or what a dry run would decide.")
command_post = partial(post, operation_class=CommandOperation, responses={200: ANSWERED})
command_delete = partial(delete, operation_class=CommandOperation, status_code=200, responses={200: DECIDED})


class Commands(Controller):
    """Every command: 201 with `id`, `position`, `version`, `decided`; 200 on a repeat, or where it was so.

    With `?dry_run=true`: 200 with `accepted`, what would be `decided`, or the `problem` and the `nearest` period in
    which it would be accepted.
    """

    handler: ClassVar[CommandHandler]
    keys: ClassVar[Keys]

    async def do(
        self,
        request: AnyRequest,
        data: Any,
        project: str | Callable[[], Awaitable[str]],
        command: Command,
        entity: str,
        command_id: UUID | None = None,
    ) -> Encoded[Decided]:
        """Carries out a command on what is called `entity`; `command_id` None makes a new one. A `project` that must be
        looked for first is looked for here, because that there is none is an answer too."""
        actor = actor_of(request)
        context = Context(command=command_id or new_id(), actor=actor, at=datetime.now(UTC), reason=data.reason)
        dry_run = bool(request.scope["query_string"]) and is_dry_run(request)
        key = None if dry_run else key_of(request, actor, data)
        if not isinstance(project, str):
            try:
                project = await project()
            except UnknownId as refusal:
                return await self.keys.refuse(key, refusal)
        if dry_run:
            return previewed(await self.handler.submit(project, command, context, dry_run=True))
        if key is None:
            return respond(entity, await self.handler.submit(project, command, context))
        return respond(entity, await self.handler.submit(project, command, context, *key, entity=entity))


def key_of(request: AnyRequest, actor: str, data: Any) -> Key | None:
    """What the Idempotency-Key stands for, if there is one: the actor's, with this request."""
    given = header(request, KEY)
    if given is None:
        return None
    request_hash = blake2b(msgspec.json.encode([request.url.path, data]), digest_size=16).digest()
    return Key(uuid5(KEYS, f"{actor}\n{given}"), request_hash)


def is_dry_run(request: AnyRequest) -> bool:
    """Raises InvalidField for any other parameter, and for a value that is neither true nor false."""
    given = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    for name, values in given.items():
        if name != "dry_run":
            raise InvalidField(name[:TEXT_MAX], "there is no such parameter here; there is dry_run")
        if values[0] not in ("true", "false", "1", "0"):
            raise InvalidField("dry_run", f"{values[0]!r} is neither true nor false")
    return given.get("dry_run", ["false"])[0] in ("true", "1")


def respond(entity: str, answer: Answer) -> Encoded[Decided]:
    """201 for what is new, 200 for a repeat (with the id that was given out then) and for what was so already."""
    if answer.first is not None:
        return again(answer.first)
    if answer.repeated and not answer.decided[0].startswith(OF_THE_PATH):
        entity = entity_of(answer.decided)
    head, tail = halves(entity, answer.version, answer.decided)
    body = b"%b%d%b%b}" % (head, answer.position, tail, occurrences_of(answer.decided))
    if answer.repeated:
        return Encoded(body, headers=REPEATED)
    return Encoded(body, status_code=201 if answer.decided else 200)


def previewed(answer: Answer) -> Encoded[Decided]:
    problem = None if answer.refusal is None else msgspec.Raw(problem_body(answer.refusal))
    body = {
        "dry_run": True,
        "accepted": answer.refusal is None,
        "position": answer.position,
        "version": answer.version,
        "decided": [msgspec.Raw(event) for event in answer.decided],
        "problem": problem,
        "nearest": _span(answer.nearest),
    }
    return Encoded(msgspec.json.encode(body))


def _span(period: Period | None) -> dict[str, str] | None:
    return None if period is None else {"start": iso(period.start), "end": iso(period.end)}


class _Entity(msgspec.Struct, tag_field=None):
    type: str
    project: str
    series: str | None = None
    booking: str | None = None
    grant: str | None = None
    request: str | None = None
    cluster: str | None = None
    account: str | None = None
    template: str | None = None


def entity_of(decided: Any) -> str:
    """The id of what a command's events are about: the first event's, but for a booking that made its own cluster."""
    event = msgspec.json.decode(decided[0], type=_Entity)
    if event.type == "ClusterCreated":
        others = (msgspec.json.decode(stored, type=_Entity) for stored in decided[1:])
        event = next((other for other in others if other.type == "BookingCreated"), event)
    if event.type == "SeriesCreated" and event.series:
        return event.series
    if event.type == "ClusterResized":
        return str(event.cluster)
    return (
        event.booking
        or event.grant
        or event.request
        or event.cluster
        or event.account
        or event.template
        or event.project
    )


class _Occurrence(msgspec.Struct):
    type: str
    start: str | None = None
    end: str | None = None
    booking: str | None = None
    series: str | None = None
    skipped: list[dict[str, str]] = []


def occurrences_of(decided: Any) -> bytes:
    """What became of every occurrence, in order, and the series, as two more members; nothing where none recur."""
    if not decided or not decided[0].startswith(b'{"type":"SeriesCreated"'):
        return b""
    events = [msgspec.json.decode(stored, type=_Occurrence) for stored in decided]
    occurrences = [
        {"start": event.start, "end": event.end, "booking": event.booking, "refused": None}
        for event in events
        if event.type == "BookingCreated"
    ] + [
        {"start": one["start"], "end": one["end"], "booking": None, "refused": one["why"]} for one in events[0].skipped
    ]
    occurrences.sort(key=lambda one: (one["start"] or "", one["end"] or ""))
    whole = f"/bookings/series/{events[0].series}"
    series = Series(str(events[0].series), f"{whole}/amend", f"{whole}/cancel")
    return b',"occurrences":%b,"series":%b' % (msgspec.json.encode(occurrences), msgspec.json.encode(series))


def new_id() -> UUID:
    """A UUIDv7. A grant's and a booking's id is also the id of the command that made it."""
    return UUID(int=uuid_utils.uuid7().int)


def new_name(command_id: UUID) -> str:
    """A cluster's name where none is given."""
    return f"cluster-{command_id.hex[-12:]}"


async def project_of_cluster(cluster: str) -> str:
    """Raises UnknownId for an id that no cluster can have."""
    if not is_pool_id(cluster):
        raise UnknownId("id", "cluster", cluster)
    return project_in(cluster)


def project_in(pool: str) -> str:
    return pool.split(".", 1)[0]


def actor_of(request: AnyRequest) -> str:
    """Who asks, under the rule of all names."""
    given = raw_header(request, ACTOR)
    return "anonymous" if given is None else checked_name(given, ACTOR)


def header(request: AnyRequest, name: str) -> str | None:
    given = raw_header(request, name)
    return None if given is None else checked_text(given, name)


def raw_header(request: AnyRequest, name: str) -> str | None:
    wanted = FIELDS[name]
    for field, value in request.scope["headers"]:
        if field == wanted:
            return written(value).strip(" \t")
    return None


def written(value: bytes) -> str:
    """What a header says: in UTF-8, or in what HTTP itself once said that headers are in."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
