"""The command handler: group commit. One writer decides a batch of commands in memory, and appends it at once.

There is no timer: a batch is what arrived while the last commit flushed. The way of a batch: answer what is stored
already → load the states → decide → append → publish the answers.

A decision is made on the states in memory. It holds only if the store finds every stream at the version of its state.
If another process was faster, the batch is decided again while this process holds the append lock, on streams that are
read under the lock. Then no conflict is possible.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg
import msgspec

from services.command.agreement import Agreement
from services.command.domain import Command, RequireRole
from services.command.domain.bounds import DEFAULT, Bounds
from services.command.domain.commands import Context
from services.command.handler.aside import Aside
from services.command.handler.contention import Contention
from services.command.handler.deciding import DecidedBatch, answers_to_keep, decide_batch
from services.command.handler.errors import KeyReused, StoreFull, StoreUnavailable
from services.command.handler.known import find_known
from services.command.handler.lookup import ProjectLookup
from services.command.handler.queue import Entity, Queue, Submitted, refuse, refuse_all, resolve
from services.command.handler.results import CommandResult
from services.command.handler.snapshot_writer import SnapshotWriter
from services.command.handler.states import Loading, States
from services.command.on_stream import OnStream
from shared import postgres
from shared.clock import ClockWatch, ClockWrong
from shared.errors import HourbookError, Refused, UnknownId, words_of
from shared.event_store import EventStore, Pending
from shared.event_store.errors import NO_TERM, Unsettled
from shared.event_store.terms import Term, read_term
from shared.events import Role
from shared.identity.errors import Forbidden, forbidden
from shared.identity.principals import Principal
from shared.identity.roles import NO_BINDINGS, NOBODY, RIGHTS, Policy, rights_on
from shared.postgres import LOST, MIGRATING, NO_ROOM, Connection, told
from shared.trouble import Trouble

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from services.command.handler.traces import BatchTraces

RECONNECT_DELAY_S = 0.1
NO_MEMORY = "this process has no memory left: give it more, or make HOURBOOK_STATE_BYTES_MAX smaller"
DISC_TROUBLE = (asyncpg.DiskFullError, asyncpg.PostgresIOError)  # every command of a batch would meet it


class CommandHandler:
    """`submit` from any number of tasks; `run` once. `batch_max` bounds a transaction, `queue_max` what may wait.
    `policy` has the roles on the whole ledger. With `on_stream`, answers wait until the stream has their events.

    `trouble` says why the last batch was not stored; no problem if it was, or if none came yet. `decided_again` counts
    the batches that met a conflict."""

    def __init__(
        self,
        database_url: str,
        *,
        batch_max: int = 512,
        queue_max: int = 10_000,
        patience_s: float = 10.0,
        bounds: Bounds = DEFAULT,
        policy: Policy = NOBODY,
        on_append: Callable[[UUID | None, int, Sequence[Pending]], None] = lambda _term, _first, _events: None,
        on_refusal: Callable[[str, Command, Context, HourbookError], None] = lambda *_: None,
        on_batch: Callable[[int, float], None] = lambda _events, _seconds: None,
        agreement: Agreement | None = None,
        on_stream: OnStream | None = None,
        traces: BatchTraces | None = None,
        clock: ClockWatch | None = None,
    ) -> None:
        self._database_url = database_url
        self._patience_s = patience_s
        self._bounds, self._policy = bounds, policy
        self._on_append, self._on_refusal, self._on_batch = on_append, on_refusal, on_batch
        self._agreement, self._on_stream = agreement, on_stream
        self._clock = clock
        self._term: UUID | None = None
        self._traces = traces
        self._queue = Queue(batch_max=batch_max, waiting_max=queue_max)
        self._states = States(bounds.state_bytes)
        self._contention = Contention()
        self._snapshots = SnapshotWriter(database_url)
        self._lookup = ProjectLookup(database_url, patience_s)
        self._aside = Aside(self._lookup, policy, self._queue.put, patience_s, queue_max)
        self._store: EventStore | None = None
        self.trouble = Trouble(log, "commands")
        self.decided_again = 0

    @property
    def head(self) -> int:
        """The newest position that this process knows."""
        return self._states.head

    @property
    def waiting(self) -> int:
        """The number of commands that wait for their turn."""
        return len(self._queue)

    @property
    def remembered(self) -> Iterable[str]:
        """The projects whose states are in memory, beginning with the one that was used longest ago."""
        return self._states

    async def submit(
        self,
        project: str,
        command: Command,
        context: Context,
        request_id: UUID | None = None,
        request_hash: bytes = b"",
        *,
        dry_run: bool = False,
        entity: Entity = "",
    ) -> CommandResult:
        """Returns when the command's events are on the disc; with `on_stream`, when the stream has them too. Raises the
        HourbookError that refuses it, and NotOnStream.

        `request_id` is that of an idempotency key. With it, each answer is on the disc, refusals too, and a repeat gets
        the same answer. `entity` is the id that the answer names. A dry run waits for its turn like any other command,
        is decided on the same state, and appends nothing.
        """
        answer: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        waiting = None if self._traces is None else self._traces.waiting()
        submitted = Submitted(project, command, context, request_id, request_hash, answer, dry_run, entity, waiting)
        self._queue.put(submitted)
        try:
            result = await answer
        except (Refused, UnknownId, KeyReused, Forbidden) as refusal:
            if refusal.denied or not dry_run:
                self._on_refusal(project, command, context, refusal)
            raise
        if self._on_stream is not None and submitted.term is not None and result.decided and not dry_run:
            await self._on_stream.has(submitted.term, result.position)
        return result

    async def require(
        self, pool: str | None, role: Role, principal: Principal, field: str = "project", purpose: str = "RequireRole"
    ) -> None:
        """Returns if the principal has all rights of `role` on `pool`, in the writer's state; None: on the whole
        ledger. `purpose` is what the log of refusals calls the request. Raises Forbidden, and UnknownId for `field`."""
        command = RequireRole(pool=pool, role=role, field=field, purpose=purpose)
        context = Context(command=uuid4(), principal=principal, at=datetime.now(UTC))
        if pool is not None:
            await self.submit(pool.partition(".")[0], command, context)
        elif RIGHTS[role] & ~rights_on(self._policy, NO_BINDINGS, principal, None):
            refusal = forbidden(None, role)
            self._on_refusal("", command, context, refusal)
            raise refusal

    async def project_of(self, entity: UUID, field: str, kind: str) -> str:
        """The project of a grant or booking. Raises UnknownId, StoreUnavailable if the store does not answer, and
        Unsettled if the store has not got it and may have lost it."""
        project = self._states.holding(entity) or await self._lookup.project_of(entity, self._check_settled)
        if project is None:
            raise UnknownId(field, kind, str(entity))
        return project

    async def run(self) -> None:
        """The one writer: answers batch after batch, until it is cancelled."""
        try:
            while True:
                batch = await self._queue.next_batch()
                if self._traces is not None:
                    self._traces.taken(batch)
                await self._answer(batch)
                await self._snapshots.begin(self._states, self._queue, self._term)
        finally:
            self._snapshots.stop()
            self._aside.stop()
            if self._store is not None:
                self._store.connection.terminate()

    async def _answer(self, batch: list[Submitted], *, retried: bool = False) -> None:
        """Gives every command of the batch its answer. Tries again over lost connections, until `patience_s` is over.
        If the disc of the store has no room, refuses all of the batch at once.

        `retried`: these commands may be stored already, by an append whose outcome was not seen.
        """
        retried = retried or any(submitted.sent for submitted in batch)
        deadline = asyncio.get_running_loop().time() + self._patience_s
        why: Exception | None = None
        refused: Unsettled | None = None
        while batch:
            sent = False
            try:
                async with asyncio.timeout_at(deadline):
                    store = await self._connected()
                    self._check_agreement()
                    for submitted in batch if self._on_stream is not None else ():
                        submitted.term = self._term
                    known = await find_known(store, batch, retried=retried)
                    await known.give(store)
                    batch = known.rest
                    if batch and (wrong := await self._clock_trouble()) is not None:
                        self._refuse(batch, StoreUnavailable(wrong) if retried else ClockWrong(wrong))
                        return
                    sent = True
                    await self._carry_out(store, batch, retried=retried)
                self._note_refused(None)
                self.trouble.clear()
                return
            except (*LOST, *MIGRATING) as lost:
                self._forget_connection()
                retried = retried or sent
                if str(lost) or why is None:  # the deadline itself says nothing
                    why = lost
                if asyncio.get_running_loop().time() >= deadline:
                    silent = StoreUnavailable(f"the event store did not answer: {told(why)}")
                    because = f"the event store did not answer: {words_of(why)}"
                    self._refuse(batch, silent if refused is None else outcome_of(refused, retried=retried), because)
                    return
                await asyncio.sleep(RECONNECT_DELAY_S)
            except Unsettled as unsettled:
                refused = unsettled
                self._note_refused(unsettled)
                self._forget_connection()
                if asyncio.get_running_loop().time() >= deadline or not unsettled.passing:
                    refuse_all(batch, outcome_of(unsettled, retried=retried))
                    return
                await asyncio.sleep(RECONNECT_DELAY_S)
            except Exception as error:  # one bad command must fail alone: try the commands one by one
                self._states.clear()
                if len(batch) > 1 and not isinstance(error, DISC_TROUBLE):
                    for submitted in batch:
                        await self._answer([submitted], retried=True)
                else:
                    self._give_up(batch, error, retried=retried)
                return

    def _give_up(self, batch: list[Submitted], error: Exception, *, retried: bool) -> None:
        """Refuses all of the batch because of an error that would come again. `retried` as in `_answer`."""
        if not isinstance(error, NO_ROOM):
            if isinstance(error, MemoryError):
                self.trouble.report(NO_MEMORY)
            refuse_all(batch, error)
        elif retried:
            self._refuse(batch, StoreUnavailable(f"the event store has no room: {words_of(error)}"))
        else:
            self._refuse(batch, StoreFull.because(error))

    def _refuse(self, batch: list[Submitted], refusal: HourbookError, because: str = "") -> None:
        """Refuses all, and notes in `trouble` why: `because`, or the detail of the refusal."""
        self.trouble.report(because or refusal.detail)
        refuse_all(batch, refusal)

    async def _carry_out(self, store: EventStore, batch: list[Submitted], *, retried: bool) -> None:
        """Decides the batch, appends it and publishes the answers: first without the append lock, which mostly goes
        well, and otherwise under the lock."""
        self._aside.take_loaded(self._states, self._term)
        for project in {submitted.project for submitted in batch}:
            if project not in self._states and project not in self._aside.first_loads:
                await self._load(store, project, briefly=True)
        batch = self._aside.step(self._states, batch, sent=retried)
        if not batch:
            return
        projects = {submitted.project for submitted in batch}
        if not self._contention.among(projects):
            decided = decide_batch(self._states, batch, self._bounds, self._policy)
            if (position := await self._append(store, decided)) is not None:
                self._publish(decided, position)
                return
            self._states.drop(projects)
            self.decided_again += 1
        await self._carry_out_locked(store, batch, retried=retried)

    async def _carry_out_locked(self, store: EventStore, batch: list[Submitted], *, retried: bool) -> None:
        async with store.connection.transaction():
            await store.lock()
            known = await find_known(store, batch, retried=retried)
            projects = {submitted.project for submitted in known.rest}
            self._contention.note([project for project in projects if await self._load(store, project)])
            rest = self._aside.step(self._states, known.rest, sent=retried, fresh=True)
            decided = decide_batch(self._states, rest, self._bounds, self._policy)
            position = await self._append(store, decided)
        store.check_replicated()
        assert position is not None  # nobody else could append
        self._publish(decided, position)
        await known.give(store)

    async def _load(self, store: EventStore, project: str, *, briefly: bool = False) -> bool:
        """Brings a state to the store's version; `briefly`: a long load goes on aside. Whether anything was new."""
        loaded = await (self._states.load_briefly if briefly else self._states.load)(store, project)
        if isinstance(loaded, Loading):
            self._aside.first_loads.begin(project, loaded)
            return False
        if loaded.cold:
            self._snapshots.want(project)
        return loaded.changed

    async def _append(self, store: EventStore, decided: DecidedBatch) -> int | None:
        """Returns the first position. None: a stream was at another version, or a command was stored already; then
        nothing was written."""
        if self._traces is None:
            return await self._store_batch(store, decided)
        return await self._traces.append(decided, partial(self._store_batch, store, decided), self.head)

    async def _store_batch(self, store: EventStore, decided: DecidedBatch) -> int | None:
        """As `_append`, outside of a span."""
        events = decided.events()
        began = asyncio.get_running_loop().time()
        appended = await store.append(decided.expected, events, answers_to_keep(decided.decisions), self._states.head)
        if events:
            self._on_batch(len(events), asyncio.get_running_loop().time() - began)
        return appended.first_position if appended.outcome == "stored" else None

    def _publish(self, decided: DecidedBatch, first_position: int) -> None:
        """Gives each command its answer. `first_position` is 0 if the batch made no event."""
        if first_position:
            self._on_append(self._term, first_position, decided.events())
        position = first_position - 1 if first_position else self._states.head
        for one in decided.decisions:
            position += len(one.events)
            if one.refusal is not None:
                refuse(one.submitted, one.refusal)
            elif one.preview is not None:
                resolve(one.submitted, msgspec.structs.replace(one.preview, position=position))
            else:
                entity = one.submitted.entity_of(one.submitted.context.command)
                data = [event.data for event in one.events]
                resolve(one.submitted, CommandResult(entity, position, one.version, data))
        self._states.saw(position)
        self._snapshots.note(self._states, decided.expected)
        self._states.forget_oldest(decided.expected)

    async def _connected(self) -> EventStore:
        if self._store is None or self._store.connection.is_closed():
            self._states.clear()
            connection = await postgres.connect(self._database_url)
            try:
                await self._admit(connection)
            except BaseException:
                connection.terminate()
                raise
            self._store = EventStore(connection)
        return self._store

    async def _admit(self, connection: Connection) -> None:
        """Compares the store and the stream, because the connection is new. Raises Unsettled if the term has not
        begun."""
        if self._agreement is None:
            return
        term = await read_term(connection)
        self._term = term.term
        await self._agreement.look_again()
        if not term.begun and self._agreement.problem is None:  # an append would only compare the timeline
            raise Unsettled(NO_TERM, passing=True)

    def _check_settled(self, term: Term) -> None:
        """Raises Unsettled if the store of this term may have lost events: what it has not got may be given back."""
        if self._agreement is not None:
            self._agreement.check(term.term)
        if not term.begun:
            raise Unsettled(NO_TERM, passing=True)

    def _note_refused(self, unsettled: Unsettled | None) -> None:
        if self._agreement is not None:
            self._agreement.refused = str(unsettled) if unsettled else None

    def _check_agreement(self) -> None:
        """Raises Unsettled unless store and stream have the same history."""
        if self._agreement is not None and self._term is not None:
            self._agreement.check(self._term)

    async def _clock_trouble(self) -> str | None:
        """Why no command may be decided by this machine's clock; None if it may."""
        if self._clock is None:
            return None
        await self._clock.first_look()
        return self._clock.wrong

    def _forget_connection(self) -> None:
        self._states.clear()
        if self._store is not None:
            with contextlib.suppress(Exception):
                self._store.connection.terminate()
            self._store = None


def outcome_of(unsettled: Unsettled, *, retried: bool) -> HourbookError:
    """What commands are answered that the store refuses while its history is not settled. `retried`: an earlier append
    of them may have been stored."""
    if not retried:
        return unsettled
    return StoreUnavailable(f"it is not known whether the command was stored: {unsettled}")
