"""`hourbook status --watch`: the table of the status again and again, with what has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import NamedTuple, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

EVERY_S = 2.0


class Part(Protocol):
    """A row of the status (services/cli/status.py)."""

    @property
    def part(self) -> str: ...
    @property
    def position(self) -> int | None: ...
    @property
    def behind(self) -> int | None: ...
    @property
    def note(self) -> str: ...
    @property
    def trouble(self) -> str | None: ...


class Look(NamedTuple):
    """What was seen at a time (`at_s`, in seconds that only grow)."""

    at_s: float
    parts: dict[str, Part]


class Line(NamedTuple):
    """A part, and how it has changed since the look before: `rate` in events a second, `closer` how many events it is
    less behind (negative: more). None where it is not known."""

    part: Part
    rate: float | None
    closer: int | None
    changed: bool


def lines(now: Look, before: Look | None) -> list[Line]:
    """Each part of `now`, compared with `before`."""
    return [
        _line(part, None if before is None else before.parts.get(name), now, before) for name, part in now.parts.items()
    ]


def _line(part: Part, old: Part | None, now: Look, before: Look | None) -> Line:
    if old is None or before is None:
        return Line(part, None, None, changed=True)
    rate = closer = None
    if part.position is not None and old.position is not None and now.at_s > before.at_s:
        rate = (part.position - old.position) / (now.at_s - before.at_s)
    if part.behind is not None and old.behind is not None:
        closer = old.behind - part.behind
    changed = (part.position, part.behind, part.trouble) != (old.position, old.behind, old.trouble)
    return Line(part, rate, closer, changed)


async def watch(look: Callable[[], Awaitable[Iterable[Part]]], console: Console, every_s: float = EVERY_S) -> None:
    """Shows what `look` returns, every `every_s` seconds, until it is cancelled. A terminal has one table, which is
    drawn again in its place; anything else gets a plain line for each part that has changed."""
    before: Look | None = None
    with Live(console=console, auto_refresh=False) if console.is_terminal else _Plain(console) as shown:
        while True:
            began_s = time.monotonic()
            now = Look(began_s, {part.part: part for part in await look()})
            seen = lines(now, before)
            clock = f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005  (the user's clock)
            if isinstance(shown, Live):
                shown.update(Group(table(seen), f"{clock}, every {every_s:g} s. Ctrl-C ends it."), refresh=True)
            else:
                shown.write(clock, seen)
            before = now
            await asyncio.sleep(max(0.0, every_s - (time.monotonic() - began_s)))


class _Plain:
    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> _Plain:
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, clock: str, seen: list[Line]) -> None:
        for line in seen:
            if line.changed:
                self._console.print(f"{clock} {in_words(line)}", markup=False, soft_wrap=True)
        self._console.file.flush()


def in_words(line: Line) -> str:
    """`read models: position 1,234 (+12 a second), 3 behind; generation 1`."""
    part, words = line.part, []
    if part.position is not None:
        words.append(f"position {part.position:,}{f' ({rate_of(line)} a second)' if line.rate else ''}")
    if part.behind is not None:
        words.append(f"{part.behind:,} behind")
    said = part.trouble or part.note
    return f"{part.part}: {', '.join(words)}{'; ' if words and said else ''}{said}"


def table(seen: list[Line]) -> Table:
    shown = Table(box=None, pad_edge=False)
    shown.add_column("part")
    for name in ("position", "a second", "behind", ""):
        shown.add_column(name, justify="right")
    shown.add_column("", overflow="fold")
    for line in seen:
        part = line.part
        note = f"[red]{escape(part.trouble)}[/red]" if part.trouble else escape(part.note)
        shown.add_row(part.part, number(part.position), rate_of(line), number(part.behind), closer_of(line), note)
    return shown


def rate_of(line: Line) -> str:
    """`+12`, `-3`; empty where it stands still or is not known."""
    return f"{line.rate:+,.0f}" if line.rate else ""


def closer_of(line: Line) -> str:
    """An arrow down where a part comes closer, up where it falls back."""
    if not line.closer:
        return ""
    return f"[green]↓{line.closer:,}[/green]" if line.closer > 0 else f"[yellow]↑{-line.closer:,}[/yellow]"


def number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
