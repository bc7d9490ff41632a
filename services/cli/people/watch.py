"""`hourbook watch`: what happens in a pool, a line an event, until Ctrl-C."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from rich.text import Text

from services.cli.client import StreamRefused
from services.cli.people.events import sentence
from services.cli.people.ledger import Ledger, failure_of, with_ledger
from services.cli.people.options import Ask
from services.cli.people.pools import is_in
from services.cli.people.screen import Column, Screen, csv_cell, write_csv
from services.cli.people.times import iso, local, parse_when, shown
from services.cli.terminal import printable

CSV = tuple(Column(title) for title in ("position", "at", "actor", "type", "what"))
STYLES = {"Cancelled": "red", "Lapsed": "red", "Withdrawn": "red", "Contested": "yellow", "Created": "green"}


def watch_pool(pool: str | None, since: str | None, ask: Ask) -> None:
    screen = Screen(ask.output)
    with_ledger(ask, lambda ledger: watch(ledger, screen, pool, since))


async def watch(ledger: Ledger, screen: Screen, pool: str | None, since: str | None) -> None:
    begin = iso(parse_when(since, "--from", ledger.clock)) if since else None
    project = pool.partition(".")[0] if pool else None
    await ledger.read("/me")  # whoever cannot be reached, or knows nobody here, says so now and not after a silence
    if screen.console.is_terminal:
        screen.say(f"Watching {pool or 'all projects'}, times in {ledger.zone}. Ctrl-C ends it.", "dim")
    if screen.output == "csv":
        write_csv([column.title for column in CSV], [])
    try:
        async for data in ledger.live("/events/stream", project=project, since=begin):
            stored = msgspec.json.decode(data)
            if pool is None or pool == project or concerns(stored["event"], pool):
                show(screen, data, stored, ledger.zone)
    except StreamRefused as refused:
        raise failure_of(refused.status, refused.body) from None


def concerns(event: Mapping[str, Any], pool: str) -> bool:
    """Whether the event is about the pool, or about something inside it."""
    return any(is_in(str(event[name]), pool) for name in ("pool", "cluster") if event.get(name))


def show(screen: Screen, data: bytes, stored: Mapping[str, Any], zone: str) -> None:
    """One line, at once: a program may read it from a pipe."""
    event = stored["event"]
    at = local(event["at"], zone)
    what = sentence(event, zone)
    if screen.output == "json":
        screen.json(data)
    elif screen.output == "csv":
        print_csv((stored["position"], event["at"], csv_cell(event["actor"]), event["type"], csv_cell(what)))
    else:
        style = next((style for end, style in STYLES.items() if event["type"].endswith(end)), "")
        when, who = f"{shown(at)}:{at.second:02}  ", printable(f"{event['actor']}  ")
        line = Text.assemble((when, "dim"), who, (printable(what), style))
        screen.console.print(line, soft_wrap=True)
        sys.stdout.flush()


def print_csv(row: tuple[Any, ...]) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerow(row)
    sys.stdout.flush()
