"""`hourbook show`: a booking, series, grant, cluster or project: what it is, who decided it, and its history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from services.cli.people.amounts import in_words
from services.cli.people.change import LISTED_MAX
from services.cli.people.events import sentence
from services.cli.people.ledger import Answer, Ledger, UnknownThing, pool_query, with_ledger
from services.cli.people.listing import state_of
from services.cli.people.options import Ask
from services.cli.people.screen import Column, Screen
from services.cli.people.times import Clock, local, shown

OCCURRENCES = (Column("id"), Column("state"), Column("from"), Column("until"))
HISTORY = (Column("when"), Column("who"), Column("what"), Column("reason"))
HELD = ("confirmed", "tentative")
ENDS = {"BookingCancelled": "cancelled", "BookingLapsed": "lapsed", "GrantWithdrawn": "withdrawn"}


class Thing(NamedTuple):
    """What was found: its kind, the clock, the answers of the server, and its history."""

    kind: str
    clock: Clock
    answers: list[Answer]
    history: list[dict[str, Any]]


def show_thing(id_: str, ask: Ask) -> None:
    screen = Screen(ask.output)
    thing = with_ledger(ask, lambda ledger: find(ledger, id_))
    if ask.output == "json":
        screen.json(*(answer.body for answer in thing.answers))
    elif ask.output == "csv":
        screen.rows(HISTORY, history_rows(thing, in_table=False))
    else:
        find_facts = {"project": pool_facts, "cluster": pool_facts, "series": series_facts}.get(thing.kind, facts_of)
        facts = find_facts(id_, thing)
        width = max(map(len, facts))
        screen.say(f"{thing.kind.capitalize()} {id_}", "bold")
        for name, value in facts.items():
            screen.say(f"  {name:<{width}}  {value}")
        if thing.kind == "series":
            show_occurrences(screen, thing)
        show_history(screen, thing)


def show_occurrences(screen: Screen, thing: Thing) -> None:
    zone = thing.clock.zone
    screen.say()
    screen.table(
        OCCURRENCES,
        [
            (one["booking"], state_in(one, thing.clock), local(one["start"], zone), local(one["end"], zone))
            for one in thing.answers[-1].document["occurrences"]
        ],
    )


def state_in(occurrence: Mapping[str, Any], clock: Clock) -> str:
    """The state of an occurrence, in the words of `hourbook list`; cancelled, lapsed and skipped as they are."""
    return state_of(occurrence, clock) if occurrence["state"] in HELD else str(occurrence["state"])


def show_history(screen: Screen, thing: Thing) -> None:
    if thing.history:
        screen.say()
        screen.table(HISTORY if any(one["reason"] for one in thing.history) else HISTORY[:3], history_rows(thing))
    screen.say()
    screen.say(f"Times are in {thing.clock.zone}.", "dim")


def history_rows(thing: Thing, *, in_table: bool = True) -> list[tuple[Any, ...]]:
    zone = thing.clock.zone
    has_reason = not in_table or any(one["reason"] for one in thing.history)
    return [
        (local(one["at"], zone), one["actor"], sentence(one["event"], zone), *([one["reason"]] if has_reason else []))
        for one in thing.history
    ]


async def find(ledger: Ledger, id_: str) -> Thing:
    """The thing with this id. Raises Failure if there is none."""
    try:
        UUID(id_)
    except ValueError:
        return await find_pool(ledger, id_)
    try:
        pages = await ledger.pages(f"/bookings/{id_}/history")
    except UnknownThing:
        raise UnknownThing(f"there is no booking, series or grant {id_}, or you may not see it") from None
    history = [one for page in pages for one in page.document["history"]]
    kind = "grant" if any("grant" in one["event"] for one in history) else "booking"
    if any(one["event"].get("series") == id_ for one in history):  # the id of a series is that of its first occurrence
        return Thing("series", ledger.clock, [*pages, await ledger.read(f"/bookings/series/{id_}")], history)
    return Thing(kind, ledger.clock, pages, history)


async def find_pool(ledger: Ledger, id_: str) -> Thing:
    """The project or the cluster: itself among the pools, what is free in it now, and a cluster's history."""
    pools = await ledger.pages("/pools", project=id_.partition(".")[0])
    kind = "cluster" if "." in id_ else "project"
    now = await ledger.read("/available/now", **pool_query(id_))
    if kind == "project":
        return Thing(kind, ledger.clock, [*pools, now], [])
    pages = await ledger.pages(f"/clusters/{id_}/history")
    history = [one for page in pages for one in page.document["history"]]
    return Thing(kind, ledger.clock, [*pages, *pools, now], history)


def series_facts(_: str, thing: Thing) -> dict[str, str]:
    """What a series is, and how many of its occurrences have which state."""
    series, first = thing.answers[-1].document, thing.history[0]
    states = Counter(state_in(one, thing.clock) for one in series["occurrences"])
    counts = ", ".join(f"{number} {state}" for state, number in states.items())
    return {
        "pool": series["pool"],
        "account": series["account"],
        "repeats": f"{series['rrule']}, in {series['timezone']}",
        "bookings": counts,
        "decided by": f"{first['actor']}, at {shown(local(first['at'], thing.clock.zone))}",
    }


def facts_of(_: str, thing: Thing) -> dict[str, str]:
    """What a booking or grant is now, from its history."""
    known: dict[str, Any] = {}
    for one in thing.history:
        known |= one["event"]
    zone, first = thing.clock.zone, thing.history[0]
    facts = {"state": state(known, thing.clock), "pool": str(known.get("pool") or known["project"])}
    if account := known.get("account"):
        facts["account"] = str(account)
    facts["takes" if thing.kind == "booking" else "gives"] = amount(known)
    facts |= {"from": shown(local(known["start"], zone)), "until": shown(local(known["end"], zone))}
    if series := known.get("series"):
        facts["series"] = str(series)
    if source := known.get("source"):
        facts["source"] = str(source)
    facts["decided by"] = f"{first['actor']}, at {shown(local(first['at'], zone))}"
    return facts


def state(known: Mapping[str, Any], clock: Clock) -> str:
    if known["type"] in ENDS:
        return ENDS[known["type"]]
    return state_of({**known, "state": "tentative" if known.get("tentative") else "confirmed"}, clock)


def amount(known: Mapping[str, Any]) -> str:
    template = known.get("template")
    words = in_words(known.get("capacity") or {}, known.get("share") or 0)
    return f"{words} ({template['count']} x {template['name']})" if isinstance(template, dict) else words


def pool_facts(id_: str, thing: Thing) -> dict[str, str]:
    """What a project or cluster is, and what is free in it now."""
    pools = [one for answer in thing.answers for one in answer.document.get("pools", [])]
    unlisted: dict[str, Any] = {"name": id_, "kind": thing.kind, "start": None}
    pool = next((one for one in pools if one["id"] == id_), unlisted)
    inside = [one["id"] for one in pools if one["parent"] == id_]
    now = thing.answers[-1].document
    facts = {"name": pool["name"], "kind": pool["kind"]}
    if pool["start"]:
        zone = thing.clock.zone
        facts |= {"from": shown(local(pool["start"], zone)), "until": shown(local(pool["end"], zone))}
    facts["free now"] = in_words(now["available"])
    more = f" and {len(inside) - LISTED_MAX} more" if len(inside) > LISTED_MAX else ""
    facts["inside"] = ", ".join(inside[:LISTED_MAX]) + more or "no clusters"
    if now["templates"]:
        facts["fits now"] = ", ".join(f"{one['fits']} x {one['name']}" for one in now["templates"])
    return facts
