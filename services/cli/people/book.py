"""`hourbook book`: what it would take, what is free, a question, and the booking."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from rich.text import Text
from whenever import ZonedDateTime

from services.cli.failure import RefusedByLedger, WrongUse
from services.cli.people.amounts import DIMENSIONS, counted, in_words, needed_fields, of_pool
from services.cli.people.deciding import Command, How, carry_out, check_accepted, check_before
from services.cli.people.ledger import Answer, Ledger, pool_query, with_ledger
from services.cli.people.options import Amount, Ask
from services.cli.people.screen import Screen
from services.cli.people.slots import AHEAD_DAYS, slot_fields
from services.cli.people.times import Length, iso, local, parse_length, parse_when, shown
from services.cli.terminal import printable

PATH = "/bookings/create"
CONFLICT = 409


class Wish(NamedTuple):
    """What the options of `hourbook book` say."""

    pool: str
    amount: Amount
    start: str | None
    length: str | None
    until: str | None
    account: str | None
    rrule: str | None
    skip: bool
    reason: str | None


class Times(NamedTuple):
    """The period of a booking."""

    start: ZonedDateTime
    end: ZonedDateTime


def book_it(wish: Wish, how: How, ask: Ask) -> None:
    screen = Screen(ask.output)
    check_before(how)
    if (wish.length is None) == (wish.until is None):
        raise WrongUse('--for: say how long it is, with --for "3 days" or with --until')
    fields = needed_fields(wish.amount)
    with_ledger(ask, lambda ledger: book(ledger, screen, wish, fields, how))


async def book(ledger: Ledger, screen: Screen, wish: Wish, fields: Mapping[str, Any], how: How) -> None:
    times = await times_of(ledger, wish)
    account = await ledger.account(wish.account)
    body = body_of(wish, fields, times, account, ledger.zone)
    tried = await ledger.try_out(PATH, body)
    if tried.document["accepted"] or tried.document["problem"]["status"] == CONFLICT:
        await show_wish(ledger, screen, wish, times, account, tried.document)
    if how.key is None or how.dry_run:  # with a key, an earlier try may have taken the capacity: the ledger says so
        check_accepted(screen, tried.document, ledger.zone, again=command_line(wish, account))
    done = await carry_out(ledger, screen, Command(PATH, body, "Book it?"), how)
    show_outcome(screen, tried if done is None else done, is_done=done is not None)


async def times_of(ledger: Ledger, wish: Wish) -> Times:
    """The period that the options mean. Without a start: the earliest one that fits. Raises Failure."""
    clock = ledger.clock
    length = parse_length(wish.length) if wish.length else None
    if wish.start is None:
        return await earliest(ledger, wish, length)
    start = parse_when(wish.start, "--from", clock)
    end = length.after(start) if length else parse_when(wish.until or "", "--until", clock, is_end=True)
    if end <= start:
        raise WrongUse(f"--until: {shown(end)} is not after the start, {shown(start)}")
    return Times(start, end)


async def earliest(ledger: Ledger, wish: Wish, length: Length | None) -> Times:
    """The earliest period that fits, in the next year. Raises RefusedByLedger if there is none."""
    if length is None:
        raise WrongUse("--from: --until needs a start; give --from, or --for instead of --until")
    begin = ledger.clock.next_hour
    fields = {name: str(value) for name, value in slot_fields(wish.amount).items()}
    query = {"range": f"{iso(begin)},{iso(begin.add(days=AHEAD_DAYS))}", "limit": "1"}
    hours = f"{length.hours_at_most_a_day_of_24}h"
    found = await ledger.read("/available/slots", **pool_query(wish.pool), **query, **fields, duration=hours)
    if not found.document["slots"]:
        raise RefusedByLedger(
            f"it does not fit into {wish.pool} in the next {AHEAD_DAYS} days: ask for less, or give a later --from"
        )
    slot = found.document["slots"][0]
    return Times(local(slot["start"], ledger.zone), local(slot["end"], ledger.zone))


def body_of(wish: Wish, fields: Mapping[str, Any], times: Times, account: str, zone: str) -> dict[str, Any]:
    body = {
        **pool_query(wish.pool),
        **fields,
        "account": account,
        "startdate": iso(times.start),
        "enddate": iso(times.end),
    }
    if wish.rrule:
        body |= {"rrule": wish.rrule, "tz": zone, "skip": wish.skip}
    elif wish.skip:
        raise WrongUse("--skip: it is for a booking that is repeated; give --rrule")
    return body | ({"reason": wish.reason} if wish.reason else {})


async def show_wish(
    ledger: Ledger, screen: Screen, wish: Wish, times: Times, account: str, tried: Mapping[str, Any]
) -> None:
    """What would be booked, and what is free in those hours."""
    if screen.output != "table":
        return
    capacity, note = taken(wish, tried)
    hours = round(times.end.difference(times.start).total("hours"))
    screen.say(f"{of_pool(capacity + note, wish.pool)} for {account}", "bold")
    screen.say(f"  from   {shown(times.start)}")
    screen.say(f"  until  {shown(times.end)}   {hours} hours, times in {ledger.zone}")
    if wish.rrule:
        screen.say(f"  again  {wish.rrule}: {occurrences(tried)}")
    elif free := await free_then(ledger, wish, times):
        screen.say(f"  free   {free}")
    screen.say()


def taken(wish: Wish, tried: Mapping[str, Any]) -> tuple[str, str]:
    """The capacity in words, and a note. From the decision; if there is none, from the options."""
    made = [event for event in tried["decided"] if event["type"] == "BookingCreated"]
    fields = needed_fields(wish.amount)
    name = f"{fields.get('count', 1)} x {fields['template']}" if "template" in fields else ""
    if not made:
        return name or (f"{fields['share']} of the cluster" if "share" in fields else in_words(fields)), ""
    capacity = in_words(made[0].get("capacity", {}), made[0].get("share", 0))
    tentative = "tentatively " if made[0].get("tentative") else ""
    return f"{tentative}{capacity}", f" ({name})" if name else ""


def occurrences(tried: Mapping[str, Any]) -> str:
    made = sum(event["type"] == "BookingCreated" for event in tried["decided"])
    return f"{made} bookings" if tried["accepted"] else "refused"


async def free_then(ledger: Ledger, wish: Wish, times: Times) -> str:
    """What is free in the hours of the booking now, in the dimensions that it takes."""
    fields = needed_fields(wish.amount)
    names = [name for name in DIMENSIONS if fields.get(name)] or ["cores", "memory"]
    hours = round(times.end.difference(times.start).total("hours"))
    query = {"range": f"{iso(times.start)},{iso(times.end)}", "grain": f"{hours}h", "dimensions": ",".join(names)}
    if "template" in fields:
        query["template"] = slot_fields(wish.amount)["template"]
    try:
        found = await ledger.read("/available/select", **pool_query(wish.pool), **query, values="available")
    except WrongUse:
        return ""  # the dry run says what is wrong
    [block] = found.document["blocks"]
    if "fits" in block:
        least, most = block["fits"]["min"], block["fits"]["max"]
        return f"{least if least == most else f'{least} to {most}'} x {fields['template']}"
    least, most = block["available"]["min"], block["available"]["max"]
    return ", ".join(between(least[name], most[name], name) for name in names)


def between(least: int, most: int, dimension: str) -> str:
    """`24 to 32 cores`."""
    first, _, unit = counted(least, dimension).partition(" ")
    last = counted(most, dimension)
    if least == most:
        return last
    return f"{first} to {last}" if least == 0 or last.endswith(f" {unit}") else f"{first} {unit} to {last}"


def command_line(wish: Wish, account: str) -> str | None:
    """The command line without its times, to copy; None for a repeated booking."""
    if wish.rrule:
        return None
    words = ["hourbook", "book", wish.pool]
    for name in (*DIMENSIONS, "template", "count", "share"):
        if (value := getattr(wish.amount, name)) is not None:
            words += [f"--{name}", str(value)]
    words += ["--account", account] if wish.account else []
    return printable(shlex.join(words))


def show_outcome(screen: Screen, answer: Answer, *, is_done: bool) -> None:
    if screen.output != "table":
        screen.json(answer.body)
    elif is_done:
        screen.say(Text.assemble(("Booked. ", "green"), f"Its id is {answer.document['id']}"))
    else:
        screen.say("It would be booked. Nothing was changed.")
