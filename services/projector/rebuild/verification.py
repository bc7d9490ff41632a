"""Recomputes everything from the stored bytes: the tree over them, and the read models, cell by cell.

Nothing live is touched. The read models are replayed into a generation of their own, which is dropped afterwards, and
compared with the live one in one snapshot: the projector goes on meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID

import msgspec

from services.projector.consumer import Parked, apply
from services.projector.generation import Generation, load_generation, prepare
from services.projector.rebuild.bulk_load import fill
from services.projector.rebuild.rebuild import CREATE, LIVE, alone, drop
from shared import postgres
from shared.audit.merkle import Tree, hash_leaves
from shared.audit.notes import BadNote, Verifier, open_checkpoint, verifier_of
from shared.audit.store import latest_checkpoint, read_keys
from shared.event_store.ranges import read_events, stream_columns
from shared.events import decode_envelopes
from shared.postgres import Connection

SHOWN_MAX = 5


class Kept(msgspec.Struct, frozen=True):
    """A checkpoint that somebody kept, and where."""

    name: str
    note: str


class Model(msgspec.Struct, frozen=True):
    """What comparing one read model gave; `examples` are rows, live and replayed, that differ."""

    model: str
    cells: int
    different: int
    examples: list[str]


class Report(msgspec.Struct, kw_only=True):
    """`wrong` says what of the history does not hold; the read models say what of the tables does not."""

    events: int = 0
    root: bytes = b""
    sealed: int = 0
    signer: str = ""
    checkpoints: int = 0
    replayed: int = 0
    models: list[Model] = msgspec.field(default_factory=list)
    wrong: list[str] = msgspec.field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.wrong and not any(model.different for model in self.models)


Progress = Callable[[str, int, int], None]


async def verify(
    database_url: str, kept: Sequence[Kept], keys: Sequence[str] | None, progress: Progress = lambda *_: None
) -> Report:
    """`keys` are the verifiers that are trusted; without any, those that the database names. Raises AlreadyRebuilding,
    BadKey and asyncpg's errors."""
    report = Report()
    connection, reader = await postgres.connect(database_url), await postgres.connect(database_url)
    try:
        trusted = [verifier_of(key) for key in keys or await read_keys(connection)]
        await prove(connection, report, kept, trusted, progress)
        await replay(connection, reader, report, progress)
        return report
    finally:
        connection.terminate()
        reader.terminate()


HEAD = "SELECT position FROM event_head"
CHECKPOINTS = "SELECT size, root FROM audit_checkpoint WHERE size > $1 AND size <= $2 ORDER BY size"


async def prove(
    connection: Connection, report: Report, kept: Sequence[Kept], trusted: Sequence[Verifier], progress: Progress
) -> None:
    """The tree over the stored bytes, against every checkpoint that is stored, and those that were kept."""
    head, latest = int(await connection.fetchval(HEAD)), await latest_checkpoint(connection)
    wanted = [(one.name, *checkpoint) for one in kept if (checkpoint := opened(report, one, trusted)) is not None]
    if latest is not None:
        report.sealed = latest.size
        opened(report, Kept("the latest checkpoint", latest.note), trusted)
    tree, columns = Tree(), Columns(report)
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
                _say(report, f"{name} of {size} events was signed over others: the history before it was rewritten")
        report.checkpoints += len(places)
        tree.extend(leaves[(tree.size - begin) * 32 :])
        progress("proven", tree.size, head)
    for name, size, _ in wanted:
        if size > tree.size:
            _say(report, f"{name} was signed over {size} events; there are only {tree.size}")
    if report.sealed > tree.size:
        _say(report, f"{report.sealed} events were sealed; there are only {tree.size}")
    report.events, report.root = tree.size, tree.root()


def opened(report: Report, kept: Kept, trusted: Sequence[Verifier]) -> tuple[int, bytes] | None:
    """The size and the root of a checkpoint that a trusted key signed; what is wrong with it goes into the report."""
    problem = "there is no key to trust"
    for verifier in trusted:
        try:
            checkpoint = open_checkpoint(kept.note, verifier)
        except BadNote as error:
            problem = str(error)
            continue
        report.signer = verifier.text()
        return checkpoint.size, checkpoint.root
    _say(report, f"{kept.name}: {problem}")
    return None


class Stored(msgspec.Struct, gc=False):
    """Some events of the store, a list a column."""

    datas: list[bytes]
    streams: list[str]
    versions: list[int]
    types: list[str]
    commands: list[UUID]

    @property
    def count(self) -> int:
        return len(self.datas)


async def read_stored(connection: Connection, end: int) -> AsyncIterator[Stored]:
    """All events up to position `end`, some at a time. Raises EventsMissing."""
    async for columns in stream_columns(connection, ("data", "stream", "version", "type", "command_id"), end):
        yield Stored(*columns)


class Columns:
    """What the store says beside an event must be what the event says: project, type, command, and the version, which
    counts a project's events. So the bytes alone, in their order, give all the rest again."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._versions: defaultdict[str, int] = defaultdict(int)

    def check(self, position: int, stored: Stored) -> None:
        try:
            said = decode_envelopes(stored.datas)
        except msgspec.DecodeError as error:
            _say(self._report, f"some event of {position + 1} to {position + stored.count} is none: {error}")
            return
        versions = self._versions
        rows = zip(said, stored.streams, stored.versions, stored.types, stored.commands, strict=True)
        for position, (event, stream, version, kind, command) in enumerate(rows, position + 1):  # noqa: B020
            counted = versions[event.project] = versions[event.project] + 1
            if (event.project, counted, event.type, event.command) != (stream, version, kind, str(command)):
                _say(self._report, f"position {position}: the columns beside the event are not what it says")


def _say(report: Report, problem: str) -> None:
    if len(report.wrong) < SHOWN_MAX:
        report.wrong.append(problem)


LIVE_POSITION = "SELECT position FROM generation WHERE live"
COMPARE = "SELECT model, cells, different, examples FROM compare_generations($1, $2)"


async def replay(connection: Connection, reader: Connection, report: Report, progress: Progress) -> None:
    """Folds the history into a fresh generation and compares that with the live one, each at the same position."""
    await prepare(connection)
    await alone(connection)
    number = int(await connection.fetchval(CREATE))
    try:
        fresh = await load_generation(connection, number)
        for _ in range(2):  # the second time it is a short way
            await _draw_near(connection, reader, fresh, progress)
        report.models = await compare(connection, fresh)
        report.replayed = fresh.position
    except Parked as parked:
        _say(report, str(parked))
    finally:
        if not connection.is_closed():
            await drop(connection, number)


async def _draw_near(connection: Connection, reader: Connection, fresh: Generation, progress: Progress) -> None:
    """Folds the events up to where the live generation is now."""
    position = int(await reader.fetchval(LIVE_POSITION))
    await fill(connection, reader, fresh, position, lambda done: progress("replayed", done, position))


async def compare(connection: Connection, fresh: Generation) -> list[Model]:
    """Draws level with the live generation and compares, in one snapshot."""
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute("SET LOCAL work_mem = '256MB'")  # of one generation a hash table is made
        record = await connection.fetchrow(LIVE)
        assert record is not None
        live, position = record
        if position > fresh.position:
            await apply(connection, fresh, await read_events(connection, fresh.position, position), live=False)
        compared = await connection.fetch(COMPARE, live, fresh.number)
    return [Model(model, cells, different, examples or []) for model, cells, different, examples in compared]
