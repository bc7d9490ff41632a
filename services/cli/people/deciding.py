"""The way of a command that changes something: its dry run is shown, the person is asked, and then it is sent once."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from services.cli.failure import Failure, WrongUse
from services.cli.people.ledger import Answer, Ledger, failure_of_problem
from services.cli.people.screen import Column, Screen
from services.cli.people.times import iso, local, shown

SHORTAGES = (
    Column("from"),
    Column("until"),
    Column("what"),
    Column("asked", is_number=True),
    Column("free", is_number=True),
)
SHORTAGES_MAX = 12


class How(NamedTuple):
    """How a command is carried out: without a question, as a dry run alone, with the key of an earlier try."""

    yes: bool
    dry_run: bool
    key: str | None


class Command(NamedTuple):
    """A command: where it is sent, its body, and the question before it."""

    path: str
    body: Mapping[str, Any]
    question: str


def check_before(how: How) -> None:
    """Raises WrongUse if nobody can be asked."""
    if not (how.yes or how.dry_run or can_ask()):
        raise WrongUse(
            "--yes: standard input is not a terminal, so nobody can be asked; add --yes, or --dry-run to look"
        )


def can_ask() -> bool:
    return sys.stdin.isatty()


def agrees(screen: Screen, question: str) -> bool:
    """Whether the person says yes. The question goes to standard error, so the output stays clean."""
    said = typed(f"{question} [y/N] ").strip().lower()
    screen.console.file.flush()
    return said in ("y", "yes")


def typed(prompt: str) -> str:
    """The line that the person types. Ctrl-C ends the command at once: asyncio's own handler of it would only note it,
    and wait for the line."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        print(prompt, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline()
    except UnicodeDecodeError:
        return ""
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGINT, before)


async def carry_out(ledger: Ledger, screen: Screen, command: Command, how: How) -> Answer | None:
    """The answer of the command; None if it was a dry run, or the person says no. Raises Failure."""
    key = how.key or uuid4().hex
    if how.dry_run:
        return None
    if not how.yes and not agrees(screen, command.question):
        raise Failure("nothing was changed")
    return await ledger.send(command.path, command.body, key)


def check_accepted(screen: Screen, tried: Mapping[str, Any], zone: str, again: str | None = None) -> None:
    """Shows what is short if the dry run was refused, and raises the Failure. `again`: the command line without times,
    for the nearest period that fits."""
    if tried["accepted"]:
        return
    problem = tried["problem"]
    failure = failure_of_problem(problem["status"], problem)
    if shortages := problem.get("shortages"):
        screen.say(f"Refused: {problem['title'][:1].lower()}{problem['title'][1:]} in {problem['pool']}.", "red")
        screen.say()
        show_shortages(screen, shortages, problem.get("shortages_total", len(shortages)), zone)
        failure = type(failure)(f"refused: not enough is free in {problem['pool']}")
        screen.say()
    if nearest := tried.get("nearest"):
        show_nearest(screen, nearest, zone, again)
    elif shortages and again:
        screen.say("No other time was found at which it fits: ask for less, or for a shorter time.")
    raise failure


def show_shortages(screen: Screen, shortages: Sequence[Mapping[str, Any]], total: int, zone: str) -> None:
    if screen.output != "table":
        return
    rows = [
        (local(one["start"], zone), local(one["end"], zone), one["dimension"], one["asked"], one["available"])
        for one in shortages[:SHORTAGES_MAX]
    ]
    screen.table(SHORTAGES, rows)
    if total > len(rows):
        screen.say(f"… and {total - len(rows)} more periods", "dim")


def show_nearest(screen: Screen, nearest: Mapping[str, str], zone: str, again: str | None) -> None:
    start, end = (local(nearest[name], zone) for name in ("start", "end"))
    screen.say(f"The nearest time that fits: {shown(start)} to {shown(end)} ({zone})")
    if again:
        screen.say(f"  {again} --from {iso(start)} --until {iso(end)}")
