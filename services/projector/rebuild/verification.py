"""Verification: computes the Merkle tree and the read models again from the stored events, and compares each cell.

It does not change anything live. The read models are replayed into a generation of their own, which is compared with
the live one in one snapshot and dropped. The projector goes on meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID

import msgspec

from services.projector.consumer import Parked, write_or_halve
from services.projector.generation import Generation, load_generation, prepare
from services.projector.rebuild.bulk_load import load_events
from services.projector.rebuild.rebuild import CREATE, LIVE, drop_generation, lock_rebuilds
from shared import postgres
from shared.audit.merkle import Tree, hash_leaves
from shared.audit.notes import BadNote, Verifier, open_checkpoint, verifier_of
from shared.audit.store import latest_checkpoint, read_keys
from shared.event_store.ranges import read_events, stream_columns
from shared.events import decode_envelopes
from shared.postgres import Connection

PROBLEMS_MAX = 5


class TrustedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint that somebody kept outside of the database. `name` is for messages: its file, for example."""

    name: str
    note: str


class Comparison(msgspec.Struct, frozen=True):
    """The comparison of one read model. `examples` are rows that differ, live and replayed."""

    model: str
    cells: int
    different: int
    examples: list[str]


class Report(msgspec.Struct, kw_only=True):
    """`wrong` are the problems of the history; `models` has the differences of the tables.

    events, root  the number of events, and the root of the tree over them
    sealed        the size of the latest checkpoint
    signer        the trusted key that signed the last checkpoint that was opened
    checkpoints   how many stored checkpoints were compared
    replayed      how many events were replayed
    """

    events: int = 0
    root: bytes = b""
    sealed: int = 0
    signer: str = ""
    checkpoints: int = 0
    replayed: int = 0
    models: list[Comparison] = msgspec.field(default_factory=list)
    wrong: list[str] = msgspec.field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.wrong and not any(model.different for model in self.models)


OnStep = Callable[[str, int, int], None]  # "proven" or "replayed", events done, events in all


async def verify(
    database_url: str, kept: Sequence[TrustedCheckpoint], keys: Sequence[str] | None, on_step: OnStep = lambda *_: None
) -> Report:
    """Verifies the history and the read models. `keys` are the public keys to trust, as verifiers; by default those in
    the database. Raises AlreadyRebuilding, BadKey and asyncpg's errors."""
    report = Report()
    connection = await postgres.connect(database_url, server_settings=postgres.PATIENT)
    reader = await postgres.connect(database_url, server_settings=postgres.PATIENT)
    try:
        trusted = [verifier_of(key) for key in keys or await read_keys(connection)]
        await prove(connection, report, kept, trusted, on_step)
        await replay(connection, reader, report, on_step)
        return report
    finally:
        connection.terminate()
        reader.terminate()


HEAD = "SELECT position FROM event_head"
CHECKPOINTS = "SELECT size, root FROM audit_checkpoint WHERE size > $1 AND size <= $2 ORDER BY size"


async def prove(
    connection: Connection,
    report: Report,
    kept: Sequence[TrustedCheckpoint],
    trusted: Sequence[Verifier],
    on_step: OnStep,
) -> None:
    """Computes the tree over the stored bytes, and compares its root with every stored and every kept checkpoint."""
    head, latest = int(await connection.fetchval(HEAD)), await latest_checkpoint(connection)
    wanted = [(one.name, *checkpoint) for one in kept if (checkpoint := opened(report, one, trusted)) is not None]
    if latest is not None:
        report.sealed = latest.size
        opened(report, TrustedCheckpoint("the latest checkpoint", latest.note), trusted)
    tree, columns = Tree(), ColumnCheck(report)
    async for stored in read_stored(connection, head):
        columns.check(tree.size, stored)
        leaves, places = (
            hash_leaves(stored.datas),
            await connection.fetch(CHECKPOINTS, tree.size, tree.size + stored.count),
        )
        expected = [("a stored checkpoint", size, root) for size, root in places]
        expected += [one for one in wanted if tree.size < one[1] <= tree.size + stored.count]
        begin = tree.size
        for name, size, root in sorted(expected, key=lambda one: one[1]):
            tree.extend(leaves[(tree.size - begin) * 32 : (size - begin) * 32])
            if tree.root() != root:
                _add_problem(
                    report, f"{name} of {size} events was signed over others: the history before it was rewritten"
                )
        report.checkpoints += len(places)
        tree.extend(leaves[(tree.size - begin) * 32 :])
        on_step("proven", tree.size, head)
    for name, size, _ in wanted:
        if size > tree.size:
            _add_problem(report, f"{name} was signed over {size} events; there are only {tree.size}")
    if report.sealed > tree.size:
        _add_problem(report, f"{report.sealed} events were sealed; there are only {tree.size}")
    report.events, report.root = tree.size, tree.root()


def opened(report: Report, kept: TrustedCheckpoint, trusted: Sequence[Verifier]) -> tuple[int, bytes] | None:
    """The size and the root of a checkpoint that a trusted key signed. None if there is none: the report says why."""
    problem = "there is no key to trust"
    for verifier in trusted:
        try:
            checkpoint = open_checkpoint(kept.note, verifier)
        except BadNote as error:
            problem = str(error)
            continue
        report.signer = verifier.text()
        return checkpoint.size, checkpoint.root
    _add_problem(report, f"{kept.name}: {problem}")
    return None


class EventColumns(msgspec.Struct, gc=False):
    """Some events of the store: a list for each column."""

    datas: list[bytes]
    streams: list[str]
    versions: list[int]
    types: list[str]
    commands: list[UUID]

    @property
    def count(self) -> int:
        return len(self.datas)


async def read_stored(connection: Connection, end: int) -> AsyncIterator[EventColumns]:
    """All events up to position `end`, in batches. Raises EventsMissing."""
    async for columns in stream_columns(connection, ("data", "stream", "version", "type", "command_id"), end):
        yield EventColumns(*columns)


class ColumnCheck:
    """Compares the columns beside an event with the event itself: project, type, command, and the version, which counts
    the events of a project. So the stored bytes in their order are enough to compute everything else."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._versions: defaultdict[str, int] = defaultdict(int)

    def check(self, position: int, stored: EventColumns) -> None:
        try:
            said = decode_envelopes(stored.datas)
        except msgspec.DecodeError as error:
            _add_problem(self._report, f"some event of {position + 1} to {position + stored.count} is none: {error}")
            return
        versions = self._versions
        rows = zip(said, stored.streams, stored.versions, stored.types, stored.commands, strict=True)
        for position, (event, stream, version, kind, command) in enumerate(rows, position + 1):  # noqa: B020
            counted = versions[event.project] = versions[event.project] + 1
            if (event.project, counted, event.type, event.command) != (stream, version, kind, str(command)):
                _add_problem(self._report, f"position {position}: the columns beside the event are not what it says")


def _add_problem(report: Report, problem: str) -> None:
    if len(report.wrong) < PROBLEMS_MAX:
        report.wrong.append(problem)


LIVE_POSITION = "SELECT position FROM generation WHERE live"
COMPARE = "SELECT model, cells, different, examples FROM compare_generations($1, $2)"


async def replay(connection: Connection, reader: Connection, report: Report, on_step: OnStep) -> None:
    """Loads the history into a fresh generation, and compares that with the live one at the same position."""
    await prepare(connection)
    await lock_rebuilds(connection)
    number = int(await connection.fetchval(CREATE))
    try:
        fresh = await load_generation(connection, number)
        for _ in range(2):  # the second time few events are left
            await _load_to_live(connection, reader, fresh, on_step)
        report.models = await compare(connection, fresh)
        report.replayed = fresh.position
    except Parked as parked:
        _add_problem(report, str(parked))
    finally:
        if not connection.is_closed():
            await drop_generation(connection, number)


async def _load_to_live(connection: Connection, reader: Connection, fresh: Generation, on_step: OnStep) -> None:
    """Loads the events up to the present position of the live generation."""
    position = int(await reader.fetchval(LIVE_POSITION))
    await load_events(connection, reader, fresh, position, lambda done: on_step("replayed", done, position))


async def compare(connection: Connection, fresh: Generation) -> list[Comparison]:
    """Writes the last events up to the live generation's position, and compares both, in one snapshot."""
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute("SET LOCAL work_mem = '256MB'")  # PostgreSQL makes a hash table of one generation
        record = await connection.fetchrow(LIVE)
        assert record is not None
        live, position = record
        if position > fresh.position:
            await write_or_halve(connection, fresh, await read_events(connection, fresh.position, position), live=False)
        compared = await connection.fetch(COMPARE, live, fresh.number)
    return [Comparison(model, cells, different, examples or []) for model, cells, different, examples in compared]
