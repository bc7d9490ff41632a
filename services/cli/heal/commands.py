"""`hourbook heal`: shows how the store and the stream differ, and gives back what the store has lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from cyclopts import Parameter
from nats.aio.client import Client

from services.cli.database_hosts import look_at_hosts, several_writers
from services.cli.failure import Failure
from services.cli.heal.applying import begin_alone, give_back, until_begun
from services.cli.heal.comparing import Case, Ends
from services.cli.heal.examine import Findings, events_of, examine
from services.cli.heal.words import report, why_not
from services.cli.up.directory import DataDir
from services.cli.up.owner import OwnedServers, owned_servers
from services.cli.up.servers import NATS, NATS_ERRORS, cannot_use, connect_nats, redacted
from shared import postgres
from shared.audit.notes import BadKey
from shared.errors import words_of
from shared.event_store.ranges import EventsMissing
from shared.jetstream import leave
from shared.nats_server import why
from shared.postgres import LOST_OR_REFUSED, Connection
from shared.progress_bar import Tell, progress_bar
from shared.stream_messages import MessageReader

T = TypeVar("T")
Several = Annotated[tuple[T, ...], Parameter(negative=(), show_default=False)]
Flag = Annotated[bool, Parameter(negative=())]

WITHOUT = """The term of this primary begins WITHOUT the stream. If the stream has events that this store has lost, they
are lost for good: their positions are given to other events. And when NATS is there again, nothing more is accepted
until a person has settled which history holds. Do this only if NATS is gone for good, or this ledger has none."""


def heal(
    *,
    apply: Flag = False,
    checkpoint: Several[Path] = (),
    key: Several[str] = (),
    export: Path | None = None,
    other_primary_is_gone: Flag = False,
    without_stream: Flag = False,
    data_dir: DataDir = None,
) -> None:
    """
    Parameters
    ----------
    apply
        Append what the store has lost. Without it, nothing is changed.
    checkpoint
        The file of a signed checkpoint that somebody kept. The events must be those that it was signed over.
    key
        A public key to trust, as NAME+KEYID+KEY. Default: the keys in the database itself.
    export
        Write the events that only the stream has to this file, as JSON lines.
    other_primary_is_gone
        With --apply: give the events back even if another primary may have more, because it is gone for good.
    without_stream
        With --apply: begin the term of this primary without asking the stream, which may have events that are lost
        then.
    """
    servers = owned_servers(data_dir)
    if without_stream:
        _run(_begin_without(servers, apply), servers)
        return
    if not servers.nats_url:
        raise Failure(f"{NATS} is not set: set it to the NATS server, with the administrator's user")
    healing = Healing(servers, apply, other_primary_is_gone, export)
    with progress_bar() as tell:
        settled = _run(healing.run(checkpoint, key, tell), servers)
    print("\n".join(healing.lines))
    sys.exit(0 if settled else 1)


class Healing:
    """One run. `lines` is what it has to say."""

    def __init__(self, servers: OwnedServers, apply: bool, gone: bool, export: Path | None) -> None:
        self._servers, self._apply, self._gone, self._export = servers, apply, gone, export
        self.lines: list[str] = []

    async def run(self, kept: tuple[Path, ...], keys: tuple[str, ...], tell: Tell) -> bool:
        """Whether nothing differs, or what was lost is given back."""
        connection = await connect_to_primary(self._servers.database_url)
        try:
            client = await _nats(self._servers.nats_url)
            try:
                found = await examine(connection, client, kept, keys, tell)
                self.lines += report(found)
                if self._export is not None:
                    await self._write(client, found, self._export)
                return await self._settle(connection, client, found, tell)
            finally:
                await leave(client)
        finally:
            await connection.close(timeout=postgres.CONNECT_TIMEOUT_S)

    async def _settle(self, connection: Connection, client: Client, found: Findings, tell: Tell) -> bool:
        compared = found.compared
        if compared.case is not Case.LOST or found.beginning:
            harmless = compared.case in (Case.SAME, Case.STREAM_BEHIND) and not compared.missing
            return (harmless or found.beginning) and not (found.contradicted or found.ahead)
        if not self._apply or why_not(found, gone=self._gone):
            return False
        async with MessageReader(client) as reader:
            await give_back(connection, reader, compared.ends, tell)
        self.lines += ["", f"Given back: positions {compared.ends.store + 1:,} to {compared.ends.stream:,}."]
        self.lines.append(await _term_after(connection))
        return not compared.changed

    async def _write(self, client: Client, found: Findings, file: Path) -> None:
        ends = found.compared.ends
        after = found.compared.same if found.fork is not None else ends.store
        count = await write_tail(client, Ends(after, ends.stream), file)
        self.lines.append(f"{count:,} events that only the stream has are in {file}.")


async def connect_to_primary(url: str) -> Connection:
    """A connection to the host that takes writes. Raises Failure if several do: this process cannot know which of them
    the services use."""
    if (wrong := several_writers(await look_at_hosts(url))) is not None:
        raise Failure(wrong)
    return await postgres.connect(url)


async def _nats(url: str) -> Client:
    try:
        return await connect_nats(url)
    except NATS_ERRORS as error:
        raise cannot_use(NATS, url, why(error)) from None


async def _term_after(connection: Connection) -> str:
    term = await until_begun(connection)
    if term.begun:
        return "The term of this primary has begun: commands are accepted."
    return (
        "The term of this primary has not begun yet: a command service that reaches NATS begins it. Does one run? Its "
        "/health and its log say what it waits for."
    )


async def _begin_without(servers: OwnedServers, apply: bool) -> None:
    connection = await connect_to_primary(servers.database_url)
    try:
        print(WITHOUT)
        if not apply:
            raise Failure("nothing was changed: say --apply too, to begin the term")
        position = await begin_alone(connection)
        if position is None:
            print("Nothing was changed: the term of this primary has begun already.")
        else:
            print(f"The term has begun at position {position:,}.")
            print("Restart the command services: one that has seen the stream before waits to see it again.")
    finally:
        await connection.close(timeout=postgres.CONNECT_TIMEOUT_S)


class Line(msgspec.Struct):
    """A line of an export. `event` is the event as it is stored."""

    position: int
    stream: str
    version: int
    type: str
    command: UUID
    request_id: UUID | None
    event: msgspec.Raw


async def write_tail(client: Client, tail: Ends, file: Path) -> int:
    """Writes the stream's events after position `tail.store` up to `tail.stream`. Returns their number. Raises
    Failure."""
    count = 0
    try:
        with file.open("xb") as opened:
            async with MessageReader(client) as reader:
                async for messages in reader.between(tail.store, tail.stream):
                    for one in events_of(messages):
                        raw = msgspec.Raw(one.data)
                        line = Line(
                            one.position, one.stream, one.version, one.type, one.command_id, one.request_id, raw
                        )
                        opened.write(msgspec.json.encode(line) + b"\n")
                        count += 1
    except FileExistsError:
        raise Failure(f"--export: {file} exists already: name a new file") from None
    return count


def _run(work: Coroutine[Any, Any, T], servers: OwnedServers) -> T:
    """What `work` returns. Raises Failure for each error that a person can do something about."""
    try:
        return asyncio.run(work)
    except TimeoutError:
        raise Failure(f"NATS does not answer: {NATS} must have the administrator's user, and JetStream") from None
    except EventsMissing as error:
        raise Failure(f"the store is not whole: {error}. Restore it from a backup first") from None
    except BadKey as error:
        raise Failure(f"--key: {error}") from None
    except (*LOST_OR_REFUSED, *NATS_ERRORS) as error:
        told = redacted(words_of(error), servers.database_url)
        raise Failure(redacted(told, servers.nats_url)) from None
