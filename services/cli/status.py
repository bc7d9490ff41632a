"""`hourbook status`: one table that shows how far each part has come, and what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout
from cyclopts import Parameter
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.client import DEFAULT_URL, connector
from services.cli.database_hosts import described, look_at_hosts
from services.cli.failure import Failure
from services.cli.signed import last_published, why_unsigned
from services.cli.status_watch import watch as watching
from services.cli.terminal import table_console
from services.cli.up.address import access
from services.cli.up.directory import DataDirectory, Run, default_directory
from services.cli.up.processes import started_at
from services.cli.up.servers import NATS, NATS_ERRORS, Servers, connect_nats, redacted, servers_from, without_password
from shared import postgres
from shared.clock import length
from shared.errors import words_of
from shared.jetstream import STREAM, SUBJECTS, leave, wrong_with
from shared.nats_server import why
from shared.postgres import LOST_OR_REFUSED
from shared.progress import Progress, ages_after, read_progress, standing_of
from shared.streams import lost_replicas

TIMEOUT_S = 5.0
NOTICES_LATE_S = 2 * 3600 + 60  # the notifier completes every hour: two missing hours are a fault
LATE_S = 60.0
STORE_ERRORS = (*LOST_OR_REFUSED, ValueError)  # ValueError: the address of the database is wrong


class Row(NamedTuple):
    """A row of the table. `behind`: how many events the part has not reached. `trouble`: what is wrong, if anything."""

    part: str
    position: int | None
    behind: int | None
    note: str
    trouble: str | None = None


def status(
    *, url: str | None = None, data_dir: Path | None = None, watch: Annotated[bool, Parameter(negative=())] = False
) -> None:
    """
    Parameters
    ----------
    url
        The address of the HTTP interface. Default: that of the running `hourbook up`, or http://127.0.0.1:8080.
    data_dir
        The data directory that was given to `hourbook up`. Default: the same as there.
    watch
        Look again every two seconds, and show what changes, until Ctrl-C.
    """
    look = partial(look_around, url, data_dir)
    lines = asyncio.run(look())
    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(watching(partial(look_or_say, look), table_console()))
        return
    show(lines, table_console())
    sys.exit(1 if any(line.trouble for line in lines) else 0)


async def look_or_say(look: Callable[[], Awaitable[list[Row]]]) -> list[Row]:
    """The rows of `look`. A failure is a row: what runs now may have ended, and may begin again."""
    try:
        return await look()
    except Failure as failure:
        return [Row("hourbook up", None, None, "", str(failure))]


async def look_around(url: str | None, data_dir: Path | None) -> list[Row]:
    """All rows. Raises Failure if nobody says which servers to ask."""
    directory = DataDirectory(data_dir or default_directory(os.environ))
    run = directory.read_run()
    servers = servers_from(os.environ) if data_dir is None else None
    if servers is None and run is not None and run.database_urls:
        servers = Servers(run.database_urls["query"], run.nats_url)
    if servers is None:
        raise Failure(
            f"nothing runs in {directory.path}: start `hourbook up`, give the --data-dir of the one that runs, "
            "or set HOURBOOK_DATABASE_URL and HOURBOOK_NATS_URL"
        )
    lines = await read(servers, (url or (run.address if run else DEFAULT_URL)).rstrip("/"))
    if run is not None:
        lines += [Row("access", None, None, access(run.issuers)), *processes(run)]
    return lines


async def read(servers: Servers, url: str) -> list[Row]:
    """Asks the database, NATS and the services. A part that does not answer is a row with a trouble."""
    lines: list[Row] = []
    head: int | None = None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            store = await read_store(servers.database_url)
        head = store.head
        lines += [
            Row("event store", head, None, without_password(servers.database_url).partition("?")[0]),
            read_models(store),
            seal(store),
            follower("past", store.past, store, store.unkept_s, "for point-in-time reads", "hourbook projector"),
            follower(
                "index", store.indexed, store, store.unindexed_s, "for searching the history", "hourbook projector"
            ),
            notices(store),
            *webhooks(store),
        ]
    except STORE_ERRORS as error:
        lines.append(Row("event store", None, None, "", redacted(words_of(error), servers.database_url)))
    lines.insert(1, await stream(servers, head))
    lines += await signed(servers)
    lines[1:1] = await database_hosts(servers.database_url)
    async with ClientSession(connector=connector(), timeout=ClientTimeout(total=TIMEOUT_S)) as session:
        lines += [
            await health(session, url, name, path)
            for name, path in (
                ("command service", "/health/command"),
                ("projector", "/health/projector"),
                ("query service", "/health/query"),
            )
        ]
    return lines


async def read_store(url: str) -> Progress:
    connection = await postgres.connect(url)
    try:
        return await read_progress(connection)
    finally:
        await connection.close(timeout=TIMEOUT_S)


async def database_hosts(url: str) -> list[Row]:
    """A row for each host of the database, if its address has several."""
    try:
        hosts = await look_at_hosts(url)
    except ValueError:
        return []  # the row of the event store says that the address is wrong
    return [Row(f"PostgreSQL {name}", None, None, note, trouble) for name, note, trouble in described(hosts)]


def read_models(store: Progress) -> Row:
    standing = standing_of(store)
    why = standing.why
    if store.position is None or store.moved_s is None:
        return Row("read models", None, None, "", why)
    notes = [f"generation {store.generation}", f"moved {ago(store.moved_s)}"]
    if store.oldest_s is not None:
        notes.append(f"oldest event not applied is {duration(store.oldest_s)} old")
    if standing.state == "stalled":
        why = f"{why}: does `hourbook projector` run? See its log"
    return Row("read models", store.position, store.head - store.position, ", ".join(notes), why)


def follower(part: str, position: int, store: Progress, oldest_s: float | None, note: str, program: str) -> Row:
    """A part that reads the events by itself. `oldest_s`: the age of the oldest event that it has not read."""
    late = None
    if oldest_s is not None and oldest_s > LATE_S:
        late = f"the oldest event that it has not read is {duration(oldest_s)} old: does `{program}` run? See its log"
    return Row(part, position, store.head - position, note, late)


def seal(store: Progress) -> Row:
    if not store.sealed:
        return Row("seal", 0, store.head, "there is no checkpoint: `hourbook sealer` has not run yet")
    return follower("seal", store.sealed, store, store.unsealed_s, "the last signed checkpoint", "hourbook sealer")


def notices(store: Progress) -> Row:
    """How far the notifier has come. It completes each hour soon after the hour begins."""
    if store.told_s is None:
        return Row("notices", None, None, "`hourbook notify` has not run yet")
    note, behind = f"complete up to {ago(store.told_s)}", store.head - store.noticed
    if store.unpublished:
        note += f", {store.unpublished:,} wait for the stream"
    if store.told_s > NOTICES_LATE_S:
        late = f"the last complete hour was {ago(store.told_s)}: does `hourbook notify` run?"
        return Row("notices", store.noticed, behind, note, late)
    if store.unpublished_s is not None and store.unpublished_s > LATE_S:
        late = f"{store.unpublished:,} have waited for the stream for {duration(store.unpublished_s)}: see its log"
        return Row("notices", store.noticed, behind, note, late)
    return Row("notices", store.noticed, behind, note)


def webhooks(store: Progress) -> list[Row]:
    """How far the slowest webhook has come. No row when there are no webhooks."""
    stopped = store.webhooks_disabled + store.webhooks_ended
    if store.delivered is None and store.notices_undelivered is None and not stopped:
        return []
    behind = None if store.delivered is None else store.head - store.delivered
    notes = ["the slowest one"]
    if store.notices_undelivered:
        notes.append(f"{store.notices_undelivered:,} notices wait")
    if store.webhooks_disabled:
        notes.append(f"{store.webhooks_disabled:,} disabled")
    if store.webhooks_ended:
        notes.append(f"{store.webhooks_ended:,} ended: the makers have no right to them (see GET /webhooks)")
    if store.dead_letters:
        notes.append(f"{store.dead_letters:,} messages given up (GET /webhooks/{{id}}/dead-letters)")
    return [Row("webhooks", store.delivered, behind, ", ".join(notes))]


async def stream(servers: Servers, head: int | None) -> Row:
    """How far the stream in NATS has come, compared with the event store, whose last position is `head`."""
    url = servers.nats_url
    try:
        client = await connect_nats(url)
    except NATS_ERRORS as error:
        return Row("stream", None, None, "", redacted(why(error), url))
    try:
        last, data, trouble, lost = await look_at_stream(client.jetstream())
    except NATS_ERRORS as error:
        return Row("stream", None, None, "", redacted(words_of(error), url))
    finally:
        await leave(client)
    behind = None if head is None else max(0, head - last)
    if head is not None and trouble is None:
        trouble = await compare_with_store(servers.database_url, last, data)
    return Row("stream", last, behind, without_password(url), trouble or lost)


async def look_at_stream(context: JetStreamContext) -> tuple[int, bytes | None, str | None, str | None]:
    """Its last position, its last message if NATS still has it, what is wrong with its settings, and which of its
    replicas are lost."""
    try:
        info = await context.stream_info(STREAM)
    except NotFoundError:
        with contextlib.suppress(NotFoundError):
            other = await context.find_stream_name_by_subject(SUBJECTS[0])
            wrong = f"it does not exist, because the stream {other} has its subjects: remove that stream"
            return 0, None, wrong, None
        return 0, None, None, None
    data = None
    if info.state.last_seq:
        with contextlib.suppress(NotFoundError):
            data = (await context.get_msg(STREAM, info.state.last_seq)).data
    return info.state.last_seq, data, wrong_with(info.config), lost_replicas(info)


EVENT = "SELECT position, (SELECT data FROM event WHERE position = $1) FROM event_head"


async def compare_with_store(database_url: str, last: int, data: bytes | None) -> str | None:
    """What is wrong with the stream, compared with the store as it is now; None when nothing is.

    `last` is the stream's last position and `data` its last message. The stream is wrong when it is ahead of the store,
    when the message is not the event of that position, or when an older event has not reached it.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            connection = await postgres.connect(database_url)
            try:
                head, event = await connection.fetchrow(EVENT, last) or (0, None)
                (age_s,) = await ages_after(connection, last)
            finally:
                connection.terminate()
    except STORE_ERRORS as error:
        return redacted(words_of(error), database_url)
    if last > head:
        lost = f"{last - head:,} event{'s' * (last > head + 1)}"
        return f"it is ahead of the event store, which has lost {lost}: `hourbook heal` shows them"
    if data is not None and data != event:
        return f"its message {last} is not the event {last} of the store: `hourbook heal` shows what differs"
    if age_s is None or age_s < LATE_S:
        return None
    return (
        f"the oldest event that it does not have is {duration(age_s)} old: does a command service run with {NATS}? "
        "See its log and /health"
    )


async def signed(servers: Servers) -> list[Row]:
    """A row, if the store has not got the history that was signed and published. None where NATS cannot be asked."""
    try:
        client = await connect_nats(servers.nats_url)
        try:
            published = await last_published(client.jetstream())
        finally:
            await leave(client)
        trouble = await why_unsigned(servers.database_url, published) if published else None
    except (*NATS_ERRORS, *STORE_ERRORS):
        return []
    return [Row("checkpoints", None, None, "", trouble)] if trouble else []


async def health(session: ClientSession, url: str, name: str, path: str) -> Row:
    """What a service answers at its /health."""
    try:
        async with session.get(url + path) as answer:
            body, code = await answer.read(), answer.status
    except (ClientError, OSError, TimeoutError, ValueError) as error:
        return Row(name, None, None, url, f"cannot reach {url}: {words_of(error)}")
    try:
        told = msgspec.json.decode(body, type=_Health)
    except ValueError:
        told = _Health()
    trouble = told.why or told.trouble or (None if code == 200 else f"{url}{path} answers {code}")
    note = f"answers at {url}"
    if told.acknowledge is not None:
        note += f", acknowledges when the {told.acknowledge} has the events"
    return Row(name, told.position, None, note, trouble)


class _Health(msgspec.Struct):
    """A /health document. The projector answers `why`, the command service answers `trouble`."""

    position: int | None = None
    why: str | None = None
    trouble: str | None = None
    acknowledge: str | None = None


def processes(run: Run) -> list[Row]:
    """A row for each process of this `hourbook up` that no longer runs."""
    gone = [(name, process.pid) for name, process in run.processes.items() if not started_at(process.pid)]
    if not started_at(run.pid):
        gone = [("hourbook up", run.pid)]
    return [Row(name, None, None, "", f"process {pid} is gone") for name, pid in gone]


def show(lines: list[Row], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("part")
    table.add_column("position", justify="right")
    table.add_column("behind", justify="right")
    table.add_column("", overflow="fold")
    for line in lines:
        note = f"[red]{escape(line.trouble)}[/red]" if line.trouble else escape(line.note)
        table.add_row(line.part, _number(line.position), _number(line.behind), note)
    console.print(table)


def ago(seconds: float) -> str:
    return f"{duration(seconds)} ago"


def duration(seconds: float) -> str:
    """The time in one unit: `130.0` is `2 min`."""
    return length(seconds) if seconds >= 120 else f"{max(0.0, seconds):.1f} s"


def _number(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
