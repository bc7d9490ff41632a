"""`hourbook slots`: when a request fits."""

from __future__ import annotations

from typing import Any

from services.cli.failure import RefusedByLedger, WrongUse
from services.cli.people.amounts import needed_fields
from services.cli.people.ledger import Answer, Ledger, pool_query, with_ledger
from services.cli.people.options import Amount, Ask
from services.cli.people.screen import Column, Screen
from services.cli.people.times import iso, local, parse_length, parse_when

AHEAD_DAYS = 365
COLUMNS = (Column("pool"), Column("from"), Column("until"), Column("hours", is_number=True))


def show_slots(
    pool: str | None, length: str, amount: Amount, start: str | None, limit: int, ask: Ask, *, everywhere: bool
) -> None:
    screen = Screen(ask.output)
    hours = parse_length(length).hours_at_most_a_day_of_24
    if limit < 1:
        raise WrongUse("--limit: write 1 or more")
    zone, answers = with_ledger(ask, lambda ledger: read(ledger, pool, hours, amount, start, limit))
    if ask.output == "json":
        screen.json(*(answer.body for answer in answers))
        return
    found = [one for answer in answers for one in answer.document["pools"]]
    if not found:
        raise RefusedByLedger(f"it fits nowhere {within(start)}: ask for less, for a shorter time, or from later on")
    found.sort(key=lambda one: str(one["slots"][0]["start"]))
    rows = [
        (one["pool"], local(slot["start"], zone), local(slot["end"], zone), hours)
        for one in (found if everywhere else found[:1])
        for slot in one["slots"]
    ]
    screen.rows(COLUMNS, rows)
    screen.say()
    screen.say(f"Times are in {zone}." + hint(found, everywhere=everywhere), "dim")


def within(start: str | None) -> str:
    """The time that was searched, in words."""
    return f"in the {AHEAD_DAYS} days from --from on" if start else f"in the next {AHEAD_DAYS} days"


async def read(
    ledger: Ledger, pool: str | None, hours: int, amount: Amount, start: str | None, limit: int
) -> tuple[str, list[Answer]]:
    """The zone, and the earliest slots in the pools of each project."""
    fields = {name: str(value) for name, value in slot_fields(amount).items()}
    begin = parse_when(start, "--from", ledger.clock) if start else ledger.clock.next_hour
    query = {"range": f"{iso(begin)},{iso(begin.add(days=AHEAD_DAYS))}", "duration": f"{hours}h", "limit": str(limit)}
    pools = [pool] if pool else await ledger.projects()
    return ledger.zone, [
        await ledger.read("/available/slots", **pool_query(one), **query, **fields, tree="true") for one in pools
    ]


def slot_fields(amount: Amount) -> dict[str, Any]:
    """The parameters of a question for slots: a template's version is a part of its name."""
    fields = needed_fields(amount)
    if "template_version" in fields:
        fields["template"] += f"@{fields.pop('template_version')}"
    return fields


def hint(found: list[dict[str, Any]], *, everywhere: bool) -> str:
    others = len(found) - 1
    if not others or everywhere:
        return ""
    return f" {others} other pool{' has' if others == 1 else 's have'} a slot: --all shows more."
