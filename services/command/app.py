"""The command service put together: it makes the parts and connects them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from services.command.handler.handler import CommandHandler
from services.command.handler.traces import BatchTraces
from services.command.keys import Keys
from services.command.lease_table import Leases
from services.command.on_stream import OnStream
from services.command.refusal_log import LAST_WRITE_S, RefusalLog
from services.command.relay import Relay
from services.command.relay_traces import RelayTraces
from services.command.routes import CONTROLLERS
from services.command.routes.bodies import CommandRequest
from services.command.routes.submit import Parts
from services.command.scheduler import Scheduler
from services.command.seen_people import SeenPeople
from services.command.sessions import Sessions
from services.command.settings import Acknowledge, Settings
from services.command.stream_auditor import StreamAuditor
from shared import tracing
from shared.clock import ClockWatch
from shared.http.application import Application
from shared.http.sign_in import ANYBODY
from shared.identity.authenticator import Authenticator
from shared.identity.configured import authenticator_from, code_flows_of
from shared.identity.principals import Principal
from shared.identity.roles import NO_BINDINGS, NOBODY, Right, rights_on
from shared.ids import new_id
from shared.nats_server import server_at
from shared.tasks import end_tasks
from shared.telemetry import Telemetry, measure_certificates
from shared.webhook_hosts import allowed_hosts

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 1_000_000
EXIT_STATUS = 70  # EX_SOFTWARE of sysexits.h
PUBLIC = ("/sign-in/", "/sign-out")  # whoever signs in is not signed in yet; who signs out may be no more


class CommandHealth(msgspec.Struct, kw_only=True):
    """The state of this process."""

    position: Annotated[int, Meta(description="The newest position that this process knows.")]
    relayed: Annotated[
        int | None,
        Meta(description="The newest position on the NATS stream that it knows; null: this process publishes nothing."),
    ]
    refusals_dropped: Annotated[
        int, Meta(description="How many refusals the log of refusals has lost since this process started.")
    ]
    waiting: Annotated[int, Meta(description="The number of events that it knows and that are not on the stream yet.")]
    accepts: Annotated[
        bool, Meta(description="False: no command is accepted, because the history is not settled. Then it is a 503.")
    ]
    acknowledge: Annotated[
        Acknowledge, Meta(description="A command is answered when the store has its events, or the stream too.")
    ]
    trouble: Annotated[
        str | None,
        Meta(
            description="Why no command is accepted or stored, why events are not published, or that messages of the "
            "stream were changed; null: all is well."
        ),
    ]


def create_app(settings: Settings, *, describes: bool = False) -> Litestar:
    """The ASGI application. The handler, the scheduler and the relay run as long as it does."""
    telemetry = Telemetry(settings.database_url)
    nats = server_at(settings.nats_url, settings, settings.stream_replicas) if settings.nats_url else None
    clock = ClockWatch(settings.database_url, tolerance_s=settings.clock_tolerance_s)
    traces = tracing.traces()
    relay_traces = None if traces is None else RelayTraces(traces)
    on_stream = OnStream() if settings.acknowledge == "stream" else None
    relay = Relay(settings.database_url, nats, traces=relay_traces, on_stream=on_stream) if nats else None
    auditor = StreamAuditor(settings.database_url, nats, relay) if nats and relay else None
    refusals = RefusalLog(
        settings.database_url, kept_days=settings.refusals_kept_days, kept_max=settings.refusals_kept_max, clock=clock
    )
    people = SeenPeople(settings.database_url)
    authenticator = authenticator_from(settings.auth_file, settings.database_url, people.note)
    keys = Keys(settings.database_url, kept_days=settings.keys_kept_days, kept_max=settings.keys_kept_max, clock=clock)
    handler = CommandHandler(
        settings.database_url,
        batch_max=settings.batch_max,
        queue_max=settings.queue_max,
        bounds=settings.bounds(),
        policy=authenticator.policy if authenticator else NOBODY,
        on_append=relay.appended if relay else lambda *_: None,
        on_refusal=refusals.note,
        on_batch=telemetry.batches("append", "a batch that was appended"),
        agreement=relay.agreement if relay else None,
        on_stream=on_stream,
        traces=None if traces is None or relay_traces is None else BatchTraces(traces, relay_traces.stored),
        clock=clock,
    )
    sessions = Sessions(settings.database_url, authenticator.file.session_hours) if authenticator else None
    scheduler = Scheduler(settings.database_url, handler, lambda: datetime.now(UTC), new_id, clock=clock)
    measure_certificates(telemetry, settings)
    _measure_commands(telemetry, handler, refusals, on_stream, clock, settings.queue_max)
    _measure_stream(telemetry, relay, auditor)

    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            if authenticator is not None:
                await stack.enter_async_context(authenticator.opened())
                await stack.enter_async_context(running(people.run(authenticator)))
            if sessions is not None:
                await stack.enter_async_context(running(sessions.run()))
            await stack.enter_async_context(running(refusals.run(), end_s=LAST_WRITE_S))
            for run in (clock.run, handler.run, scheduler.run, keys.run):
                await stack.enter_async_context(running(run()))
            await stack.enter_async_context(publishing(relay, auditor))
            yield

    return Application(
        [*CONTROLLERS, _health_of(handler, refusals, relay, auditor, clock, authenticator, settings.acknowledge)],
        telemetry,
        authenticator=authenticator,
        public=PUBLIC,
        describes=describes,
        lifespan=[lifespan],
        request_max_body_size=BODY_BYTES_MAX,
        request_class=CommandRequest,
        state=State({"parts": _parts_of(settings, handler, keys, authenticator, sessions)}),
    )


def _parts_of(
    settings: Settings,
    handler: CommandHandler,
    keys: Keys,
    authenticator: Authenticator | None,
    sessions: Sessions | None,
) -> Parts:
    """The parts that the routes use."""
    public_url = settings.public_url.rstrip("/")
    code_flows = code_flows_of(authenticator, public_url) if authenticator else {}
    hosts = allowed_hosts(settings.webhook_hosts)
    issuers = tuple(authenticator.file.keystone) if authenticator else ()
    leases = Leases(settings.database_url, settings.blazar_policy, issuers)
    return Parts(handler, keys, hosts, authenticator, public_url, sessions, code_flows, leases)


def _measure_commands(
    telemetry: Telemetry,
    handler: CommandHandler,
    refusals: RefusalLog,
    on_stream: OnStream | None,
    clock: ClockWatch,
    queue_max: int,
) -> None:
    telemetry.gauge("clock_ahead_seconds", "How far this clock is ahead of the database's", lambda: clock.difference_s)
    telemetry.gauge("queue_depth", "Commands that wait for their turn", lambda: handler.waiting)
    telemetry.gauge(
        "batches_decided_again",
        "Batches that were decided again, because another process had written to their projects",
        lambda: handler.decided_again,
    )
    telemetry.gauge("queue_limit", "Commands that may wait; beyond it they are refused", lambda: queue_max)
    telemetry.gauge(
        "store_trouble_seconds",
        "How long commands have not been stored, because the event store is away or full; 0: they are",
        lambda: handler.trouble.seconds,
    )
    telemetry.gauge("refusals_dropped", "Refusals that the log of refusals has not kept", lambda: refusals.dropped)
    telemetry.gauge(
        "acknowledges_on_stream",
        "1: a command is answered when the stream has its events; 0: when the store has them",
        lambda: on_stream is not None,
    )
    telemetry.gauge(
        "answers_waiting",
        "Commands that are stored and whose answers wait for the stream",
        lambda: on_stream.waiting if on_stream else 0,
    )


def _measure_stream(telemetry: Telemetry, relay: Relay | None, auditor: StreamAuditor | None) -> None:
    if relay is not None and auditor is not None:
        _measure_relay(telemetry, relay)
        _measure_auditor(telemetry, auditor, relay)


def _measure_relay(telemetry: Telemetry, relay: Relay) -> None:
    telemetry.gauge("relay_leads", "1 in the process whose relay publishes", lambda: relay.leads)
    telemetry.gauge(
        "relayed_position",
        "Position of the newest event on the stream; NaN where the relay does not lead",
        lambda: relay.last_sequence if relay.leads else math.nan,
    )
    telemetry.gauge(
        "relay_waiting_events",
        "Events that the relay has seen and not published; NaN where it does not lead",
        lambda: relay.waiting if relay.leads else math.nan,
    )
    telemetry.gauge(
        "history_settled",
        "1: commands are accepted; 0: the store and the stream have different histories, or a term has not begun",
        lambda: relay.agreement.why_closed is None,
    )
    telemetry.gauge(
        "relay_trouble_seconds",
        "How long something is wrong with the stream or with what goes to it; 0: nothing",
        lambda: relay.trouble.seconds,
    )


def _measure_auditor(telemetry: Telemetry, auditor: StreamAuditor, relay: Relay) -> None:
    telemetry.gauge(
        "stream_audited_position",
        "How far this round of comparing the whole stream with the store has come; NaN where the relay does not lead",
        lambda: auditor.position if relay.leads else math.nan,
    )
    telemetry.gauge(
        "stream_differences",
        "Messages of the stream that are not the store's events; NaN where the relay does not lead",
        lambda: auditor.differences if relay.leads else math.nan,
    )
    telemetry.gauge(
        "stream_audit_ended_timestamp_seconds",
        "When the last whole round of comparing the stream ended; NaN before, and where the relay does not lead",
        lambda: math.nan if auditor.round_ended is None or not relay.leads else auditor.round_ended,
    )


def _health_of(
    handler: CommandHandler,
    refusals: RefusalLog,
    relay: Relay | None,
    auditor: StreamAuditor | None,
    clock: ClockWatch,
    authenticator: Authenticator | None,
    acknowledge: Acknowledge,
) -> HTTPRouteHandler:
    @get(
        "/health", security=ANYBODY, summary="Health of this process", response_description="The state of this process."
    )
    async def health(request: CommandRequest) -> Response[CommandHealth]:
        """The positions up to which events are stored and published, and trouble with either. 503 while no command is
        accepted; 200 otherwise: commands are accepted even if events cannot be published. Where principals sign in,
        only an auditor of the whole ledger reads what the trouble is; it may hold names."""
        closed = relay.agreement.why_closed if relay else None
        troubles = {
            "no command is accepted": closed,
            "commands are not stored": handler.trouble.problem,
            "the clock is in doubt": clock.doubtful,
            "the stream is not fed": relay.trouble.problem if relay else None,
            "the stream was changed": auditor.trouble.problem if auditor else None,
        }
        what, trouble = next(((what, why) for what, why in troubles.items() if why is not None), ("", None))
        if trouble is not None and not _audits(authenticator, request):
            trouble = f"{what}; the log of the service says why"
        told = CommandHealth(
            position=handler.head,
            relayed=relay.last_sequence if relay else None,
            refusals_dropped=refusals.dropped,
            waiting=relay.waiting if relay else 0,
            accepts=closed is None,
            acknowledge=acknowledge,
            trouble=trouble,
        )
        return Response(told, status_code=503 if closed else 200)

    return health


def _audits(authenticator: Authenticator | None, request: CommandRequest) -> bool:
    """Whether a request to a public path may read everything: nobody signs in, or an auditor of the ledger asks."""
    principal: Principal | None = request.scope.get("principal")  # type: ignore[assignment]
    if authenticator is None or principal is None:
        return authenticator is None
    return bool(rights_on(authenticator.policy, NO_BINDINGS, principal, None) & Right.AUDIT)


@contextlib.asynccontextmanager
async def publishing(relay: Relay | None, auditor: StreamAuditor | None) -> AsyncIterator[None]:
    """Publishes events and compares the stream with the store while the block runs. Does nothing without NATS."""
    if relay is None or auditor is None:
        yield
        return
    async with running(relay.run()), running(auditor.run()):
        yield


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, None], end_s: float | None = None) -> AsyncIterator[None]:
    """Runs `work` while the block runs, and cancels it after. `work` should never end before, but it may run out of
    memory, for example. Then this process ends and is started again: without it, commands would wait for ever. What
    `work` does when it is cancelled takes less than `end_s`."""
    task = asyncio.create_task(work)
    task.add_done_callback(_end_process)
    try:
        yield
    finally:
        task.remove_done_callback(_end_process)
        await end_tasks(task, again_s=end_s)


def _end_process(task: asyncio.Task[None]) -> None:
    """Ends this process at once. What it has acknowledged is on the disc."""
    error = None if task.cancelled() else task.exception()
    log.critical("a part of the service ended, so the process ends: %r", error, exc_info=error)
    os._exit(EXIT_STATUS)
