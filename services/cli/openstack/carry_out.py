"""What OpenStack says is carried out at Hourbook: read what is there, plan, send, show what became of each thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from services.cli.client import Client, decoded
from services.cli.failure import Failure
from services.cli.openstack.calls import Call, Step
from services.cli.openstack.document import Item
from services.cli.openstack.mapping import map_items
from services.cli.openstack.plan import Planned, plan
from services.cli.openstack.present import TYPES, Present, fold
from services.cli.openstack.wanted import Given, Note, Resize, Unmapped
from shared.events import EVENT_TYPES

PAGE = "10000"
NO_ROOM = "capacity_exceeded"
KNOWN = {kind.__name__ for kind in EVENT_TYPES}
# In this order in the summary, with the colour of each.
OUTCOMES = {
    "created": "green",
    "changed": "yellow",
    "already there": "dim",
    "refused": "red",
    "not mapped": "magenta",
    "note": "cyan",
}


class Row(NamedTuple):
    """A line of the summary. `outcome` is one of OUTCOMES."""

    outcome: str
    what: str
    how: str


class _Page(msgspec.Struct):
    events: list[_Event]
    next: int | None = None


class _Event(msgspec.Struct):
    event: msgspec.Raw


async def read_present(client: Client, project: str, *, create: bool = False) -> Present:
    """Raises Failure when there is no such project and it is not to be created."""
    present, after = Present(), "0"
    while True:
        query = {"project": project, "type": ",".join(name for name in TYPES if name in KNOWN), "limit": PAGE}
        status, body = await client.get("/events", query | {"after": after})
        if status == HTTPStatus.NOT_FOUND and create:
            await create_project(client, project)
            return Present(name=project)
        if status == HTTPStatus.NOT_FOUND:
            raise Failure(
                f"there is no project {project!r}: POST /projects/create makes it, and so does --create-project"
            )
        if status != HTTPStatus.OK:
            raise Failure(f"GET /events answers {status}: {decoded(body).detail}")
        page = msgspec.json.decode(body, type=_Page)
        fold((stored.event for stored in page.events), present)
        if page.next is None:
            return present
        after = str(page.next)


async def create_project(client: Client, project: str) -> None:
    status, done = await client.post("/projects/create", {"id": project, "name": project})
    if status not in (HTTPStatus.OK, HTTPStatus.CREATED) and done.code != "already_exists":
        raise Failure(f"the project cannot be created: {done.detail}")


async def carry_out(
    client: Client, service: str, items: Sequence[Item], given: Given, parent: str, *, present: Present, dry_run: bool
) -> list[Row]:
    """What became of the items of one service, and of all that they come to. Raises SeveralOwners."""
    rows: list[Row] = []
    known = {name: name for name in present.templates} | present.flavors
    result = map_items(service, items, msgspec.structs.replace(given, known=known))
    for wanted in result.wanted:
        if isinstance(wanted, Resize) and not dry_run:
            present = await read_present(client, given.project)  # its cluster may be new
        rows += await perform(client, plan(wanted, present, given, parent), dry_run=dry_run)
    return [*rows, *noted(result.notes, result.unmapped)]


async def perform(client: Client, planned: Iterable[Planned], *, dry_run: bool) -> list[Row]:
    return [
        Row("not mapped", *one) if isinstance(one, Unmapped) else await take(client, one, dry_run=dry_run)
        for one in planned
    ]


async def take(client: Client, step: Step, *, dry_run: bool) -> Row:
    """Carries out a step, all of it or, when something of it is refused, nothing that lasts."""
    if step.outcome == "there":
        return Row("already there", step.what, step.how)
    if dry_run:
        return Row(step.outcome, step.what, step.how)
    for guard in step.guards:
        _, done = await client.post(f"{guard.path}?dry_run=true", guard.body)
        if not done.accepted or done.code:
            reason = (done.problem or {}).get("detail") or done.detail
            return Row("refused", step.what, f"it is less than before, and that is in use: {reason}")
    made: list[str] = []
    statuses, how = [], step.how
    for call in step.calls:
        status, done = await client.post(call.path, call.body, call.key)
        if done.code == NO_ROOM and step.otherwise is not None:
            call = step.otherwise
            how = f"{how}; there is room only from {call.body['startdate']} on"
            status, done = await client.post(call.path, call.body, call.key)
        if status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            hint = f" ({step.hint})" if step.hint and done.code == NO_ROOM else ""
            return Row("refused", step.what, await undone(client, call, made, done.detail) + hint)
        statuses.append(status)
        if call.path.endswith("/create") and status == HTTPStatus.CREATED:
            made.append(done.id)
    is_new = HTTPStatus.CREATED in statuses
    return Row(step.outcome if is_new else "already there", step.what, how)


async def undone(client: Client, refused: Call, made: Sequence[str], detail: str) -> str:
    """What was refused, and that what was granted before it has been withdrawn, if anything was."""
    for grant in made:
        await client.post(f"/resources/{grant}/withdraw", {"reason": f"{refused.path} was refused"})
    return f"{detail} ({len(made)} new grants are withdrawn again)" if made else detail


def noted(notes: Iterable[Note], unmapped: Iterable[Unmapped]) -> list[Row]:
    rows = [*(Row("not mapped", *one) for one in unmapped), *(Row("note", *one) for one in notes)]
    return list(dict.fromkeys(rows))


def show(rows: Sequence[Row], console: Console, *, dry_run: bool) -> None:
    order = list(OUTCOMES)
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", ""):
        table.add_column(column, overflow="fold")
    for row in sorted(rows, key=lambda row: order.index(row.outcome)):
        colour = OUTCOMES[row.outcome]
        table.add_row(f"[{colour}]{row.outcome}[/{colour}]", plain(row.what), plain(row.how))
    if rows:
        console.print(table)
    counts = Counter(row.outcome for row in rows)
    summary = ", ".join(f"{counts[name]} {name}" for name in order if name != "note")
    console.print(f"{'Dry run, nothing is sent. ' if dry_run else ''}{summary}", markup=False)


def plain(text: str) -> str:
    return text.replace("[", "\\[")
