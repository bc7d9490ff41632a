"""Applies OpenStack items to Hourbook: reads the current state, plans, sends the calls, reports each thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.client import Client, decoded
from services.cli.failure import Failure
from services.cli.openstack.current import TYPES, CurrentState, fold
from services.cli.openstack.desired import ImportOptions, Note, ResizeRequest, Unmapped
from services.cli.openstack.document import Item
from services.cli.openstack.mapping import map_items
from services.cli.openstack.plan import Planned, plan
from services.cli.openstack.steps import Call, Step
from shared.events import EVENT_TYPES

PAGE = "10000"
AGAIN = "The same command again does the rest"
CAPACITY_EXCEEDED = "capacity_exceeded"
KNOWN = {kind.__name__ for kind in EVENT_TYPES}
# The outcomes in the order of the report, each with its colour.
OUTCOMES = {
    "created": "green",
    "changed": "yellow",
    "already there": "dim",
    "refused": "red",
    "not mapped": "magenta",
    "note": "cyan",
}


class ReportLine(NamedTuple):
    """A line of the report: what happened to one thing, and how. `outcome` is one of OUTCOMES."""

    outcome: str
    what: str
    how: str


class _Page(msgspec.Struct):
    events: list[_Event]
    next: int | None = None


class _Event(msgspec.Struct):
    event: msgspec.Raw


async def read_current(client: Client, project: str, *, create: bool = False) -> CurrentState:
    """Folds the project's events. Raises Failure when there is no such project, unless `create` creates it."""
    current, after = CurrentState(), "0"
    while True:
        query = {"project": project, "type": ",".join(name for name in TYPES if name in KNOWN), "limit": PAGE}
        status, body = await client.get("/events", query | {"after": after})
        if status == HTTPStatus.NOT_FOUND and create:
            await create_project(client, project)
            return CurrentState(name=project)
        if status == HTTPStatus.NOT_FOUND:
            raise Failure(
                f"there is no project {project!r}: create it with POST /projects/create or with --create-project"
            )
        if status != HTTPStatus.OK:
            raise Failure(f"GET /events answers {status}: {decoded(body).detail}")
        page = msgspec.json.decode(body, type=_Page)
        fold((stored.event for stored in page.events), current)
        if page.next is None:
            return current
        after = str(page.next)


async def create_project(client: Client, project: str) -> None:
    status, done = await client.post("/projects/create", {"id": project, "name": project})
    if status not in (HTTPStatus.OK, HTTPStatus.CREATED) and done.code != "already_exists":
        raise Failure(f"cannot create the project: {done.detail}")


async def apply_items(
    client: Client,
    service: str,
    items: Sequence[Item],
    options: ImportOptions,
    parent: str,
    *,
    current: CurrentState,
    dry_run: bool,
    report: list[ReportLine],
) -> None:
    """Maps the items of one service, plans and applies the steps. Each is in the report as soon as it is done. Raises
    SeveralOwners."""
    known = {name: name for name in current.templates} | current.flavors
    result = map_items(service, items, msgspec.structs.replace(options, known=known))
    report += rows_of(result.notes, result.unmapped)
    for desired in result.desired:
        if isinstance(desired, ResizeRequest) and not dry_run:
            current = await read_current(client, options.project)  # an earlier item may have created its cluster
        await apply_steps(client, plan(desired, current, options, parent), dry_run=dry_run, report=report)


async def apply_steps(client: Client, planned: Iterable[Planned], *, dry_run: bool, report: list[ReportLine]) -> None:
    """Applies the steps. A step that is broken off is in the report, too: nobody knows how much of it was done."""
    for one in planned:
        if isinstance(one, Unmapped):
            report.append(ReportLine("not mapped", *one))
            continue
        try:
            report.append(await apply_step(client, one, dry_run=dry_run))
        except BaseException:
            report.append(ReportLine("refused", one.what, f"broken off, perhaps in the middle: {one.how}. {AGAIN}"))
            raise


async def apply_step(client: Client, step: Step, *, dry_run: bool) -> ReportLine:
    """Applies one step. When a call is refused, the grants that the step has created are withdrawn."""
    if step.outcome == "there":
        return ReportLine("already there", step.what, step.how)
    if dry_run:
        return ReportLine(step.outcome, step.what, step.how)
    for check in step.checks:
        _, done = await client.post(f"{check.path}?dry_run=true", check.body)
        if not done.accepted or done.code:
            reason = (done.problem or {}).get("detail") or done.detail
            return ReportLine("refused", step.what, f"it is less than before, and the difference is in use: {reason}")
    made: list[str] = []
    statuses, how = [], step.how
    for call in step.calls:
        status, done = await client.post(call.path, call.body, call.key)
        if done.code == CAPACITY_EXCEEDED and step.fallback is not None:
            call = step.fallback
            how = f"{how}; there is enough capacity only from {call.body['startdate']} on"
            status, done = await client.post(call.path, call.body, call.key)
        if status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            hint = f" ({step.hint})" if step.hint and done.code == CAPACITY_EXCEEDED else ""
            return ReportLine("refused", step.what, await withdraw_grants(client, call, made, done.detail) + hint)
        statuses.append(status)
        if call.path.endswith("/create") and status == HTTPStatus.CREATED:
            made.append(done.id)
    is_new = HTTPStatus.CREATED in statuses
    return ReportLine(step.outcome if is_new else "already there", step.what, how)


async def withdraw_grants(client: Client, refused: Call, made: Sequence[str], detail: str) -> str:
    """Withdraws the grants that the step has created. Answers the text for the report."""
    for grant in made:
        await client.post(f"/resources/{grant}/withdraw", {"reason": f"{refused.path} was refused"})
    return f"{detail} ({len(made)} new grants were withdrawn again)" if made else detail


def rows_of(notes: Iterable[Note], unmapped: Iterable[Unmapped]) -> list[ReportLine]:
    rows = [*(ReportLine("not mapped", *one) for one in unmapped), *(ReportLine("note", *one) for one in notes)]
    return list(dict.fromkeys(rows))


def show_report(rows: Sequence[ReportLine], console: Console, *, dry_run: bool) -> None:
    order = list(OUTCOMES)
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", ""):
        table.add_column(column, overflow="fold")
    for row in sorted(rows, key=lambda row: order.index(row.outcome)):
        colour = OUTCOMES[row.outcome]
        table.add_row(f"[{colour}]{row.outcome}[/{colour}]", escape(row.what), escape(row.how))
    if rows:
        console.print(table)
    counts = Counter(row.outcome for row in rows)
    summary = ", ".join(f"{counts[name]} {name}" for name in order if name != "note")
    console.print(f"{'Dry run, nothing is sent. ' if dry_run else ''}{summary}", markup=False)
