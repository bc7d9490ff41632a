"""`hourbook status`: one screen that says how far each part has come, and what is wrong."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout
from nats.js.errors import NotFoundError
from rich.console import Console
from rich.table import Table

from shared.cli.directory import DataDirectory, Run, default_directory
from shared.cli.failure import Failure
from shared.cli.processes import started_at
from shared.cli.servers import NATS_ERRORS, Servers, connect_nats, named_in, redacted, without_password
from shared.jetstream import STREAM
from shared.progress import Progress, read_progress

TIMEOUT_S = 5.0
PIPED_WIDTH = 200
TOLD_LATE_S = 2 * 3600 + 60
DEFAULT_URL = "http://127.0.0.1:8080"


class Line(NamedTuple):
    """A row of the screen; `trouble` says what is wrong, if anything."""

    part: str
    position: int | None
    behind: int | None
    note: str
    trouble: str | None = None


def status(*, url: str | None = None, data_dir: Path | None = None) -> None:
    """Show how far each part has come, and what is wrong.

    Parameters
    ----------
    url
        The address of the HTTP interface. Default: the one that `hourbook up` wrote down, or http://127.0.0.1:8080.
    data_dir
        The data directory of the `hourbook up` that is asked about. Default: as for `hourbook up`.
    """
    directory = DataDirectory(data_dir or default_directory(os.environ))
    run = directory.read_run()
    servers = named_in(os.environ) if data_dir is None else None
    if servers is None and run is not None:
        servers = Servers(run.database_url, run.nats_url)
    if servers is None:
        raise Failure(
            f"nothing runs in {directory.path}: start `hourbook up`, name the --data-dir that it was given, "
            "or set HOURBOOK_DATABASE_URL and HOURBOOK_NATS_URL"
        )
    lines = asyncio.run(read(servers, (url or (run.address if run else DEFAULT_URL)).rstrip("/")))
    lines += [*processes(run)] if run is not None else []
    show(lines, Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH))
    sys.exit(1 if any(line.trouble for line in lines) else 0)


async def read(servers: Servers, url: str) -> list[Line]:
    lines: list[Line] = []
    head: int | None = None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            store = await read_store(servers.database_url)
        head = store.head
        lines += [
            Line("event store", head, None, without_password(servers.database_url).partition("?")[0]),
            read_models(store),
            Line("seal", store.sealed, store.head - store.sealed, "the last signed checkpoint"),
            Line("past", store.past, store.head - store.past, "kept for as_of"),
            notices(store),
            *webhooks(store),
        ]
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        lines.append(Line("event store", None, None, "", redacted(_words(error), servers.database_url)))
    lines.insert(1, await stream(servers.nats_url, head))
    async with ClientSession(timeout=ClientTimeout(total=TIMEOUT_S)) as session:
        lines += [await health(session, url, name, path) for name, path in
                  (("command service", "/health/command"), ("projector", "/health/projector"),
                   ("query service", "/health/query"))]  # fmt: skip
    return lines


async def read_store(url: str) -> Progress:
    connection = await asyncpg.connect(url, timeout=TIMEOUT_S)
    try:
        return await read_progress(connection)
    finally:
        await connection.close(timeout=TIMEOUT_S)


def read_models(store: Progress) -> Line:
    if store.generation is None or store.position is None or store.moved_s is None:
        return Line("read models", None, None, "", "no generation is live: `hourbook migrate` makes one")
    notes = [f"generation {store.generation}", f"moved {ago(store.moved_s)}"]
    if store.oldest_s is not None:
        notes.append(f"oldest event not applied is {duration(store.oldest_s)} old")
    trouble = None
    if store.parked_position is not None or store.parked_error is not None:
        trouble = f"parked at position {store.parked_position}: {store.parked_error}"
    return Line("read models", store.position, store.head - store.position, ", ".join(notes), trouble)


def notices(store: Progress) -> Line:
    """Every hour is told when it has struck; two that are not are a notifier that is not there."""
    if store.told_s is None:
        return Line("notices", None, None, "none are told before `hourbook notify` has run")
    note, behind = f"told up to {ago(store.told_s)}", store.head - store.noticed
    if store.unpublished:
        note += f", {store.unpublished:,} wait for the stream"
    late = f"the last hour told is of {ago(store.told_s)}: does `hourbook notify` run?"
    return Line("notices", store.noticed, behind, note, late if store.told_s > TOLD_LATE_S else None)


def webhooks(store: Progress) -> list[Line]:
    """Nothing when none was registered."""
    if store.delivered is None and store.notices_undelivered is None and not store.webhooks_disabled:
        return []
    behind = None if store.delivered is None else store.head - store.delivered
    notes = ["the one furthest behind"]
    if store.notices_undelivered:
        notes.append(f"{store.notices_undelivered:,} notices wait")
    if store.webhooks_disabled:
        notes.append(f"{store.webhooks_disabled:,} disabled")
    if store.dead_letters:
        notes.append(f"{store.dead_letters:,} messages given up (GET /webhooks/{{id}}/dead-letters)")
    return [Line("webhooks", store.delivered, behind, ", ".join(notes))]


async def stream(url: str, head: int | None) -> Line:
    try:
        client = await connect_nats(url)
    except NATS_ERRORS as error:
        return Line("stream", None, None, "", redacted(_words(error), url))
    try:
        last = (await client.jetstream().stream_info(STREAM)).state.last_seq
    except NotFoundError:
        last = 0
    except NATS_ERRORS as error:
        return Line("stream", None, None, "", redacted(_words(error), url))
    finally:
        await client.close()
    trouble = None
    if head is not None and last > head:
        trouble = "it is ahead of the event store: it is the stream of another history"
    return Line("stream", last, None if head is None else max(0, head - last), without_password(url), trouble)


async def health(session: ClientSession, url: str, name: str, path: str) -> Line:
    try:
        async with session.get(url + path) as answer:
            body = await answer.read()
            if answer.status != 200:
                return Line(name, None, None, url, f"{url}{path} answers {answer.status}")
        position = msgspec.json.decode(body, type=_Health).position
    except (ClientError, OSError, TimeoutError, ValueError) as error:
        return Line(name, None, None, url, f"{url} cannot be reached: {_words(error)}")
    return Line(name, position, None, f"answers at {url}")


class _Health(msgspec.Struct):
    position: int | None = None


def processes(run: Run) -> list[Line]:
    """The processes that `up` wrote down and that are not there now."""
    gone = [(name, process.pid) for name, process in run.processes.items() if not started_at(process.pid)]
    if not started_at(run.pid):
        gone = [("hourbook up", run.pid)]
    return [Line(name, None, None, "", f"process {pid} is gone") for name, pid in gone]


def show(lines: list[Line], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("part")
    table.add_column("position", justify="right")
    table.add_column("behind", justify="right")
    table.add_column("", overflow="fold")
    for line in lines:
        note = f"[red]{_plain(line.trouble)}[/red]" if line.trouble else _plain(line.note)
        table.add_row(line.part, _number(line.position), _number(line.behind), note)
    console.print(table)


def ago(seconds: float) -> str:
    return f"{duration(seconds)} ago"


def duration(seconds: float) -> str:
    for length_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{max(0.0, seconds):.1f} s"


def _number(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
