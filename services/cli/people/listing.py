"""`hourbook list`: bookings by time, with their state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.text import Text

from services.cli.failure import WrongUse
from services.cli.people.amounts import DIMENSIONS, in_words, percent
from services.cli.people.free import range_ahead
from services.cli.people.ledger import Answer, Ledger, pool_query, with_ledger
from services.cli.people.options import Ask
from services.cli.people.screen import Cell, Column, Screen
from services.cli.people.times import Clock, local

AHEAD_DAYS = 90
COLUMNS = (
    Column("id", is_first=True),
    *(Column(title) for title in ("pool", "account", "state", "from", "until")),
    Column("takes", is_first=True),
)
CSV_COLUMNS = tuple(
    Column(title)
    for title in ("id", "pool", "account", "state", "start", "end", *DIMENSIONS, "share", "template", "count", "series")
)
STYLES = {"running": "green", "tentative": "yellow", "ended": "dim"}


class Wanted(NamedTuple):
    """What the options say: whose bookings, where, when, in which states."""

    pool: str | None
    account: str | None
    everybody: bool
    tree: bool
    states: tuple[str, ...]
    range: str | None


class Found(NamedTuple):
    """The pages of the answers, and for whom they are."""

    clock: Clock
    account: str | None
    pages: list[Answer]


def show_bookings(wanted: Wanted, ask: Ask) -> None:
    if wanted.account and wanted.everybody:
        raise WrongUse("--account and --all: give one of them")
    screen = Screen(ask.output)
    found = with_ledger(ask, lambda ledger: read(ledger, wanted))
    if ask.output == "json":
        screen.json(*(page.body for page in found.pages))
        return
    rows = [(item, state_of(item, found.clock)) for page in found.pages for item in page.document["items"]]
    rows = [(item, state) for item, state in rows if not wanted.states or state in wanted.states]
    rows.sort(key=lambda row: (row[0]["start"], row[0]["end"], row[0]["id"]))
    if ask.output == "csv":
        screen.rows(CSV_COLUMNS, csv_rows(rows, found.clock.zone))
        return
    if rows:
        screen.rows(COLUMNS, table_rows(rows, found.clock.zone))
        screen.say()
    screen.say(summary(found, wanted, len(rows)), "dim")


async def read(ledger: Ledger, wanted: Wanted) -> Found:
    """The bookings of the pool, or of all projects with all that is in them."""
    account = None if wanted.everybody else await ledger.account(wanted.account)
    query = {"range": range_ahead(wanted.range, ledger.clock, AHEAD_DAYS), "account": account}
    if wanted.pool and not wanted.tree:
        only = await ledger.pages("/bookings/select", **pool_query(wanted.pool), **query, grain="month")
        return Found(ledger.clock, account, only)
    pages = []
    for pool in [wanted.pool] if wanted.pool else await ledger.projects():
        pages += await ledger.pages("/bookings/select", **pool_query(pool), **query, tree="true")
    return Found(ledger.clock, account, pages)


def state_of(item: Mapping[str, Any], clock: Clock) -> str:
    """Ended, running, tentative or planned."""
    if local(item["end"], clock.zone) <= clock.now:
        return "ended"
    if item["state"] == "tentative":
        return "tentative"
    return "running" if local(item["start"], clock.zone) <= clock.now else "planned"


def table_rows(rows: Sequence[tuple[Mapping[str, Any], str]], zone: str) -> Iterator[Sequence[Cell]]:
    for item, state in rows:
        template = item["template"]
        takes = f"{template['count']} x {template['name']}" if template else in_words(item, item["share"])
        yield (
            item["id"],
            item["pool"],
            item["account"],
            Text(state, STYLES.get(state, "")),
            local(item["start"], zone),
            local(item["end"], zone),
            takes + (", repeated" if item["series"] else ""),
        )


def csv_rows(rows: Sequence[tuple[Mapping[str, Any], str]], zone: str) -> Iterator[Sequence[Cell]]:
    for item, state in rows:
        template = item["template"] or {}
        yield (
            item["id"],
            item["pool"],
            item["account"],
            state,
            local(item["start"], zone),
            local(item["end"], zone),
            *(item.get(name, 0) for name in DIMENSIONS),
            percent(item["share"]) if item["share"] else None,
            template.get("name"),
            template.get("count"),
            item["series"],
        )


def summary(found: Found, wanted: Wanted, count: int) -> str:
    """How many there are of whom, and where else one may look."""
    whose = f"of {found.account}" if found.account else "of all accounts"
    more = "" if wanted.everybody else " --all shows everybody's."
    when = "in this range" if wanted.range else f"in the next {AHEAD_DAYS} days"
    bookings = "1 booking" if count == 1 else f"{count or 'no'} bookings"
    return f"{bookings} {whose} {when}. Times are in {found.clock.zone}.{more}".replace("no bookings", "No bookings", 1)
