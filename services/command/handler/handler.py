"""The command handler: group commit. One writer decides whatever waits, in memory, and appends it in one transaction.

There is no timer: a batch is what arrived while the last commit flushed. A decision is made on the cached state and
holds only if the store finds every stream at the version that the state was at. When another process was faster, the
batch is decided again with the append lock held, on streams read under it, and then cannot meet a conflict.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import ClassVar
from uuid import UUID

import msgspec

from services.command.domain import (
    AmendSeries,
    CancelSeries,
    Command,
    CreateSeries,
    ProjectState,
    SettleConflicts,
    decide,
    evolve,
    nearest,
)
from services.command.domain.bounds import DEFAULT, Bounds
from services.command.domain.commands import Context
from services.command.domain.copies import freeze
from services.command.handler.queue import (
    Answer,
    Decided,
    KeyReused,
    QueueFull,
    StoreUnavailable,
    Submitted,
    answer_of,
    fail,
    kept_of,
    refuse,
    resolve,
)
from services.command.handler.sizes import Sizes
from services.command.handler.snapshots import load_snapshot, save_snapshot, worth_saving
from shared import postgres
from shared.errors import CapacityExceeded, HourbookError, OutsidePeriod, Refused, UnknownId
from shared.event_store import EventStore, Pending, Remembered
from shared.events import decode_event, encode_event
from shared.postgres import LOST, LOST_OR_REFUSED

log = logging.getLogger(__name__)

RECONNECT_DELAY_S = 0.1
CONTENDED_S = 5.0
LOOKUPS_MAX = 8
# Hundreds of decisions each, and tens of milliseconds.
HEAVY = (CreateSeries, AmendSeries, CancelSeries, SettleConflicts)
LOADING_MAX = 4


class Loading(msgspec.Struct):
    """A state on its way to the store's version. Should time run out, the next attempt goes on from here."""

    state: ProjectState
    position: int
    saved_version: int
    cold: bool


class CommandHandler:
    """`submit` from any number of tasks; `run` once. `batch_max` bounds a transaction, `queue_max` what may wait."""

    projects_max: ClassVar[int] = 1024

    def __init__(
        self,
        database_url: str,
        *,
        batch_max: int = 512,
        queue_max: int = 10_000,
        patience_s: float = 10.0,
        bounds: Bounds = DEFAULT,
        on_append: Callable[[], None] | None = None,
        on_refusal: Callable[[str, Command, Context, HourbookError], None] | None = None,
        on_batch: Callable[[int, float], None] = lambda _events, _seconds: None,
    ) -> None:
        self._database_url = database_url
        self._batch_max, self._queue_max, self._patience_s = batch_max, queue_max, patience_s
        self._bounds = bounds
        self._waiting: deque[Submitted] = deque()
        self._heavy: deque[Submitted] = deque()
        self._arrived = asyncio.Event()
        self._states: OrderedDict[str, ProjectState] = OrderedDict()
        self._loading: dict[str, Loading] = {}
        self._sizes = Sizes()
        self._contended: dict[str, float] = {}
        self._store: EventStore | None = None
        self._on_append, self._on_batch = on_append or (lambda: None), on_batch
        self._on_refusal = on_refusal or (lambda *_: None)
        self._unsaved: set[str] = set()
        self._saving: asyncio.Task[None] | None = None
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)
        self.head = 0

    async def submit(
        self,
        project: str,
        command: Command,
        context: Context,
        request_id: UUID | None = None,
        request_hash: bytes = b"",
        *,
        dry_run: bool = False,
        entity: str = "",
    ) -> Answer:
        """Waits until the command's events are on the disc. Raises the HourbookError that refuses it.

        With a `request_id`, whatever is answered is on the disc too, and is the answer to every repeat. A dry run waits
        for its turn like any other command, is decided on the same state, and appends nothing.
        """
        if self.waiting >= self._queue_max:
            raise QueueFull(f"{self._queue_max} commands are waiting; try again in a second")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        queue = self._heavy if isinstance(command, HEAVY) else self._waiting
        queue.append(Submitted(project, command, context, request_id, request_hash, answer, dry_run, entity))
        self._arrived.set()
        try:
            return await answer
        except (Refused, UnknownId, KeyReused) as refusal:
            self._on_refusal(project, command, context, refusal)
            raise

    @property
    def waiting(self) -> int:
        """How many commands wait for their turn."""
        return len(self._waiting) + len(self._heavy)

    @property
    def remembered(self) -> Iterable[str]:
        """The projects whose states are in memory, that which was used longest ago first."""
        return self._states.keys()

    async def project_of(self, entity: UUID, field: str, kind: str) -> str:
        """The project of a grant or booking. Raises UnknownId, and StoreUnavailable when nobody can say."""
        for project, state in self._states.items():
            if entity in state.bookings or entity in state.grants:
                return project
        try:
            async with self._lookups, asyncio.timeout(self._patience_s):
                connection = await postgres.connect(self._database_url)
                try:
                    stream = await EventStore(connection).stream_of(entity)
                finally:
                    connection.terminate()
        except LOST_OR_REFUSED as lost:
            raise StoreUnavailable(f"the event store did not answer: {lost or type(lost).__name__}") from None
        if stream is None:
            raise UnknownId(field, kind, str(entity))
        return stream

    async def run(self) -> None:
        """The one writer, until it is cancelled."""
        try:
            while True:
                await self._arrived.wait()
                batch = self._next_batch()
                if not batch:
                    self._arrived.clear()
                    continue
                await self._answer(batch)
                self._save_snapshots()
        finally:
            if self._saving is not None:
                self._saving.cancel()
            if self._store is not None:
                self._store.connection.terminate()

    def _save_snapshots(self) -> None:
        """Of the states that took long to read, now that those who waited for them have their answers: one at a time,
        beside the decisions, because of a large one it may take longer than anybody's patience."""
        while self._unsaved and (self._saving is None or self._saving.done()):
            project = self._unsaved.pop()
            if (state := self._states.get(project)) is not None:
                self._saving = asyncio.create_task(self._save_snapshot(project, freeze(state), self.head))

    async def _save_snapshot(self, project: str, lent: ProjectState, position: int) -> None:
        try:
            await save_snapshot(self._database_url, project, lent, position)
        except LOST_OR_REFUSED as lost:
            log.info("the snapshot of %s was not saved: %s", project, lost)

    def _next_batch(self) -> list[Submitted]:
        """What waits, in order, and of the heavy ones one, after the others: so that a hundred of them do not keep a
        booking waiting. A request id that stands in the batch already waits for the next one."""
        batch: list[Submitted] = []
        seen: set[UUID] = set()
        for queue, most in ((self._waiting, max(1, self._batch_max - 1)), (self._heavy, 1)):
            for _ in range(min(most, len(queue))):
                if (request_id := queue[0].request_id) is not None:
                    if request_id in seen:
                        break
                    seen.add(request_id)
                batch.append(queue.popleft())
        return batch

    async def _answer(self, batch: list[Submitted]) -> None:
        """Gives every command of the batch its answer, over lost connections too, for as long as patience lasts."""
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while batch:
            try:
                async with asyncio.timeout_at(deadline):
                    store = await self._connected()
                    await self._answer_known(store, batch)
                    batch = [submitted for submitted in batch if not submitted.answer.done()]
                    await self._append(store, batch)
                    return
            except LOST as lost:
                self._forget_connection()
                if asyncio.get_running_loop().time() >= deadline:
                    fail(batch, StoreUnavailable(f"the event store did not answer: {lost or type(lost).__name__}"))
                    return
                await asyncio.sleep(RECONNECT_DELAY_S)
            except Exception as error:  # one bad command must fail alone, so the group is tried one by one
                self._states.clear()
                if len(batch) == 1:
                    fail(batch, error)
                    return
                for submitted in batch:
                    await self._answer([submitted])
                return

    async def _answer_known(self, store: EventStore, batch: list[Submitted]) -> None:
        """Answers what is stored already: a repeated request, or a command whose first append had no known outcome."""
        keyed = [submitted.request_id for submitted in batch if submitted.request_id is not None]
        known = await store.by_requests(keyed) if keyed else {}
        retried = [s.context.command for s in batch] if self._outcome_unknown else []
        made = await store.by_commands(retried) if retried else {}
        self._outcome_unknown = False
        for submitted in batch:
            if mine := made.get(submitted.context.command):
                resolve(submitted, answer_of(mine))
            elif submitted.request_id is not None and (first := known.get(submitted.request_id)):
                if (first if isinstance(first, Remembered) else first[0]).request_hash != submitted.request_hash:
                    refuse(submitted, KeyReused())
                elif isinstance(first, Remembered):
                    resolve(submitted, Answer(0, 0, [], repeated=True, first=first))
                else:
                    resolve(submitted, answer_of(first, repeated=True))

    async def _append(self, store: EventStore, batch: list[Submitted]) -> None:
        if not batch:
            return
        for project in {submitted.project for submitted in batch}:
            if project not in self._states:
                await self._catch_up(store, project)
        if not self._is_contended(batch) and await self._try(store, batch):
            return
        async with store.connection.transaction():
            await store.lock()
            await self._answer_known(store, batch)
            batch = [submitted for submitted in batch if not submitted.answer.done()]
            for project in {submitted.project for submitted in batch}:
                if await self._catch_up(store, project):
                    self._contended[project] = asyncio.get_running_loop().time() + CONTENDED_S
            decided = self._decide(batch)
            first_position = await self._write(store, decided)
            self._outcome_unknown = True  # until the commit below has answered
        self._outcome_unknown = False
        assert first_position is not None
        self._publish_answers(decided, first_position)

    def _is_contended(self, batch: list[Submitted]) -> bool:
        """Whether another process wrote to one of these projects lately. Then the lock comes first and the decision
        after it: a guess that fails costs the cached state."""
        now = asyncio.get_running_loop().time()
        return any(self._contended.get(submitted.project, 0.0) > now for submitted in batch)

    async def _try(self, store: EventStore, batch: list[Submitted]) -> bool:
        decided = self._decide(batch)
        first_position = await self._write(store, decided)
        if first_position is None:
            for project in {submitted.project for submitted in batch}:
                self._states.pop(project, None)
            return False
        self._publish_answers(decided, first_position)
        return True

    def _decide(self, batch: list[Submitted]) -> list[Decided]:
        """Decides one command after the other, each on the state that the ones before it left."""
        self._expected = {s.project: self._states[s.project].version for s in batch}
        decided = []
        for submitted in batch:
            state = self._states[submitted.project]
            self._states.move_to_end(submitted.project)
            if submitted.dry_run:
                decided.append(Decided(submitted, [], state.version, preview=_preview(state, submitted, self._bounds)))
                continue
            try:
                events = decide(state, submitted.project, submitted.command, submitted.context, self._bounds)
            except HourbookError as refusal:
                decided.append(Decided(submitted, [], state.version, refusal))
                continue
            pending = []
            for ordinal, event in enumerate(events):
                evolve(state, event)
                pending.append(
                    Pending(
                        submitted.project,
                        state.version,
                        submitted.context.command,
                        ordinal,
                        submitted.request_hash,
                        type(event).__name__,
                        encode_event(event),
                        submitted.request_id,
                    )
                )
            decided.append(Decided(submitted, pending, state.version))
        return decided

    async def _write(self, store: EventStore, decided: list[Decided]) -> int | None:
        """The first position; None when a stream had moved or a command was stored already, and nothing was written."""
        events = [event for one in decided for event in one.events]
        self._outcome_unknown = True
        began = asyncio.get_running_loop().time()
        appended = await store.append(self._expected, events, kept_of(decided), self.head)
        self._outcome_unknown = False
        if events:
            self._on_batch(len(events), asyncio.get_running_loop().time() - began)
        return appended.first_position if appended.outcome == "stored" else None

    def _publish_answers(self, decided: list[Decided], position: int) -> None:
        if position:
            self._on_append()
        position = position - 1 if position else self.head
        for one in decided:
            position += len(one.events)
            if one.refusal is not None:
                refuse(one.submitted, one.refusal)
            elif one.preview is not None:
                resolve(one.submitted, msgspec.structs.replace(one.preview, position=position))
            else:
                resolve(one.submitted, Answer(position, one.version, [event.data for event in one.events]))
        self.head = max(self.head, position)
        self._bound_memory({one.submitted.project for one in decided})

    def _bound_memory(self, touched: set[str]) -> None:
        """Forgets the projects that were used longest ago, as long as there are too many or they hold too much. No
        project holds more than all may (`Bounds`), unless that was made less since; such a one stays while it is used.
        """
        for project in touched & self._states.keys():
            if self._states[project].version:
                self._sizes.measure(project, self._states[project])
            else:  # it does not exist, and must not take the place of one that does
                del self._states[project]
        held = self._sizes.of(self._states)
        while len(self._states) > 1 and (len(self._states) > self.projects_max or held > self._bounds.state_bytes):
            forgotten, _ = self._states.popitem(last=False)
            held -= self._sizes.forget(forgotten)
            self._contended.pop(forgotten, None)

    async def _catch_up(self, store: EventStore, project: str) -> bool:
        """Reads what the cached state of a project has not seen; all of it when there is none. True: there was some."""
        loading = self._loading.get(project)
        if loading is None:
            cached = self._states.pop(project, None)
            state, position = (cached, 0) if cached else await load_snapshot(store.connection, project)
            while len(self._loading) >= LOADING_MAX:  # given up by those who waited, and by the next who might
                del self._loading[next(iter(self._loading))]
            loading = self._loading[project] = Loading(state, position, state.version, cold=cached is None)
        state = loading.state
        async for event in store.stream_after(project, state.version):
            try:
                evolve(state, decode_event(event.data))
            except Exception:  # half an event may be in it, and it must not go on after that
                del self._loading[project]
                raise
            loading.position = event.position
        self.head = max(self.head, loading.position)
        self._states[project] = self._loading.pop(project).state
        if loading.cold and worth_saving(state.version - loading.saved_version, state.version):
            self._unsaved.add(project)
        return state.version > loading.saved_version

    _outcome_unknown = False

    async def _connected(self) -> EventStore:
        if self._store is None or self._store.connection.is_closed():
            self._states.clear()
            self._store = EventStore(await postgres.connect(self._database_url))
        return self._store

    def _forget_connection(self) -> None:
        self._states.clear()
        if self._store is not None:
            with contextlib.suppress(Exception):
                self._store.connection.terminate()
            self._store = None


def _preview(state: ProjectState, submitted: Submitted, bounds: Bounds) -> Answer:
    """What the command would make of the state; the state is as it was."""
    try:
        events = decide(state, submitted.project, submitted.command, submitted.context, bounds)
    except HourbookError as refusal:
        near = None
        if isinstance(refusal, CapacityExceeded | OutsidePeriod):
            near = nearest(state, submitted.project, submitted.command, submitted.context, bounds)
        return Answer(0, state.version, [], refusal=refusal, nearest=near)
    return Answer(0, state.version, [encode_event(event) for event in events])
