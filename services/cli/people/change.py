"""`hourbook amend` and `hourbook cancel`: of a booking, or of a series from a time on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from services.cli.failure import WrongUse
from services.cli.people.amounts import fields_of, in_words, of_pool
from services.cli.people.deciding import Command, How, carry_out, check_accepted, check_before
from services.cli.people.ledger import Ledger, with_ledger
from services.cli.people.options import Amount, Ask
from services.cli.people.screen import Screen
from services.cli.people.times import iso, local, parse_length, parse_when, shown

LISTED_MAX = 10


class Change(NamedTuple):
    """What the options of `hourbook amend` say."""

    booking: str
    amount: Amount
    start: str | None
    length: str | None
    until: str | None
    whole_series: bool
    reason: str | None


def amend_it(change: Change, how: How, ask: Ask) -> None:
    screen = Screen(ask.output)
    check_before(how)
    if change.length is not None and change.until is not None:
        raise WrongUse("--for and --until: give one of them")
    if change.whole_series and (change.length or change.until):
        raise WrongUse("--all: a series keeps its times; cancel it --from a day on, and book again")
    check_id(change.booking)
    with_ledger(ask, lambda ledger: amend(ledger, screen, change, how))


async def amend(ledger: Ledger, screen: Screen, change: Change, how: How) -> None:
    booking = await last_state(ledger, change.booking)
    body = await amendment(ledger, change, booking)
    path = f"/bookings/{change.booking}/amend"
    if change.whole_series:
        path = f"/bookings/series/{series_of(booking)}/amend"
    await decide(ledger, screen, Command(path, body, "Change it?"), how)


async def amendment(ledger: Ledger, change: Change, booking: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the amendment. Raises WrongUse."""
    body: dict[str, Any] = fields_of(change.amount)
    start = parse_when(change.start, "--from", ledger.clock) if change.start else None
    if start is not None:
        body["from" if change.whole_series else "startdate"] = iso(start)
    if change.length is not None:
        begin = start or local(booking["start"], ledger.zone)
        body["enddate"] = iso(parse_length(change.length).after(begin))
    elif change.until is not None:
        body["enddate"] = iso(parse_when(change.until, "--until", ledger.clock, is_end=True))
    if not body.keys() - {"from"}:
        raise WrongUse("--cores: say what changes, such as --cores 16 or --until")
    return body | ({"reason": change.reason} if change.reason else {})


def cancel_it(booking: str, since: str | None, reason: str | None, how: How, ask: Ask, *, whole_series: bool) -> None:
    screen = Screen(ask.output)
    check_before(how)
    check_id(booking)
    with_ledger(ask, lambda ledger: cancel(ledger, screen, booking, since, reason, how, whole_series=whole_series))


async def cancel(
    ledger: Ledger, screen: Screen, booking: str, since: str | None, reason: str | None, how: How, *, whole_series: bool
) -> None:
    body: dict[str, Any] = {"reason": reason} if reason else {}
    path = f"/bookings/{booking}/cancel"
    if whole_series or since:
        path = f"/bookings/series/{series_of(await last_state(ledger, booking))}/cancel"
    if since:
        body["from"] = iso(parse_when(since, "--from", ledger.clock))
    await decide(ledger, screen, Command(path, body, "Cancel it?"), how)


async def decide(ledger: Ledger, screen: Screen, command: Command, how: How) -> None:
    """Shows what would change, asks, and does it."""
    tried = await ledger.try_out(command.path, command.body)
    if tried.document["accepted"] and not tried.document["decided"]:
        screen.say("It is so already: nothing changes.")
        if screen.output != "table":
            screen.json(tried.body)
        return
    check_accepted(screen, tried.document, ledger.zone)
    show_changes(screen, tried.document["decided"], ledger.zone)
    done = await carry_out(ledger, screen, command, how)
    if screen.output != "table":
        screen.json((done or tried).body)
    else:
        screen.say("Done." if done else "Nothing was changed.", "green" if done else "")


def show_changes(screen: Screen, events: Sequence[Mapping[str, Any]], zone: str) -> None:
    """A line for each booking that would change."""
    for event in events[:LISTED_MAX]:
        screen.say(sentence(event, zone))
    if len(events) > LISTED_MAX:
        screen.say(f"… and {len(events) - LISTED_MAX} more", "dim")
    screen.say(f"Times are in {zone}.", "dim")


def sentence(event: Mapping[str, Any], zone: str) -> str:
    """What would happen to a booking."""
    start, end = (shown(local(event[name], zone)) for name in ("start", "end"))
    capacity = of_pool(in_words(event.get("capacity", {}), event.get("share", 0)), event["pool"])
    if event["type"] == "BookingCancelled":
        return f"Ends: {capacity}, {start} to {end}"
    tentative = ", tentatively" if event.get("tentative") else ""
    return f"Becomes: {capacity}, {start} to {end}{tentative}"


async def last_state(ledger: Ledger, booking: str) -> dict[str, Any]:
    """What the history knows of a booking: the fields of its events, the newest first. Raises Failure."""
    history = await ledger.items(f"/bookings/{booking}/history", "history")
    known: dict[str, Any] = {}
    for entry in history:
        known |= entry["event"]
    return known


def series_of(booking: Mapping[str, Any]) -> str:
    """The id of its series. Raises WrongUse if it is in none."""
    if not booking.get("series"):
        raise WrongUse("--all: this booking belongs to no series: leave --all out")
    return str(booking["series"])


def check_id(text: str) -> None:
    """Raises WrongUse unless it is the id of a booking."""
    try:
        UUID(text)
    except ValueError:
        raise WrongUse(f"BOOKING: {text!r} is no id of a booking; `hourbook list` shows the ids") from None
