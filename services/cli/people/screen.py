"""What a command shows: a table for people (in colours on a terminal, plain when piped), the server's JSON, or CSV."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text
from whenever import ZonedDateTime

from services.cli.people.options import Output
from services.cli.people.times import iso, shown
from services.cli.terminal import PIPED_WIDTH, printable
from shared.spreadsheets import neutral

Cell = str | int | Text | ZonedDateTime | None
WIDTH_MAX = 10_000


class Column(NamedTuple):
    """A column: its title, whether it has numbers, which stand at the right, and whether it is in the first line of
    each row on a screen that is too narrow for all."""

    title: str
    is_number: bool = False
    is_first: bool = False


class Screen:
    """Standard output for one command. `output` says in which form."""

    def __init__(self, output: Output) -> None:
        self.output = output

    @cached_property
    def console(self) -> Console:
        """No colours and no bars unless standard output is a terminal. NO_COLOR is respected."""
        is_terminal = sys.stdout.isatty()
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")
        return Console(
            highlight=False, force_terminal=None if is_terminal else False, width=None if is_terminal else PIPED_WIDTH
        )

    @property
    def has_bars(self) -> bool:
        """Whether to draw: on a terminal that can show block characters."""
        return self.console.is_terminal and self.console.encoding.lower().startswith("utf")

    def say(self, text: str | Text = "", style: str = "") -> None:
        """A line for people. Nothing in JSON or CSV. It may be wider than the screen."""
        if self.output == "table":
            line = text if isinstance(text, Text) else Text(printable(text), style=style)
            self.console.print(line, soft_wrap=True)

    def json(self, *answers: bytes) -> None:
        """The server's answer unchanged; of several answers, a list of them."""
        sys.stdout.flush()
        text = answers[0] if len(answers) == 1 else b"[" + b",".join(answers) + b"]"
        sys.stdout.buffer.write(text.rstrip() + b"\n")
        sys.stdout.buffer.flush()

    def rows(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
        """A table, or CSV."""
        if self.output == "csv":
            write_csv([column.title for column in columns], rows)
        else:
            self.table(columns, rows)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
        texts = [[text_of(cell) for cell in row] for row in rows]
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column.title, justify="right" if column.is_number else "left", overflow="fold")
        for row in texts:
            table.add_row(*row)
        if self.is_wider(table) and any(column.is_first for column in columns):
            self.stack(columns, texts)
        else:
            self.draw(table)

    def is_wider(self, table: Table) -> bool:
        """Whether the table is wider than the screen."""
        whole = self.console.options.update(width=WIDTH_MAX)
        return Measurement.get(self.console, whole, table).maximum > self.console.width

    def stack(self, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> None:
        """Each row in two lines, so that no id is broken. The columns of both lines are aligned."""
        heads = [Text(column.title, style="bold") for column in columns]
        widths = [max(row[number].cell_len for row in (heads, *rows)) for number in range(len(columns))]
        for row in (heads, *rows):
            for is_first in (True, False):
                cells = zip(columns, row, widths, strict=True)
                part = [aligned(text, width, column) for column, text, width in cells if column.is_first == is_first]
                line = Text("" if is_first else "  ") + Text("  ").join(part)
                line.rstrip()
                self.say(line)

    def draw(self, table: Table) -> None:
        """Prints it; into a pipe without the spaces at the ends of lines."""
        if self.console.is_terminal:
            self.console.print(table)
            return
        with self.console.capture() as captured:
            self.console.print(table)
        for line in captured.get().splitlines():
            print(line.rstrip())


def aligned(text: Text, width: int, column: Column) -> Text:
    padded = text.copy()
    padded.align("right" if column.is_number else "left", width)
    return padded


def text_of(cell: Cell) -> Text:
    """A cell of a table for people."""
    if isinstance(cell, Text):
        return cell
    if isinstance(cell, ZonedDateTime):
        return Text(shown(cell), no_wrap=True)
    return Text("-" if cell is None else printable(str(cell)))


def write_csv(titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """CSV as the server's: instants in UTC, and an apostrophe before a text that a spreadsheet takes for a formula."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(titles)
    for row in rows:
        writer.writerow([csv_cell(cell) for cell in row])
    sys.stdout.flush()


def csv_cell(cell: Cell) -> str | int:
    match cell:
        case None:
            return ""
        case ZonedDateTime():
            return iso(cell)
        case int():
            return cell
        case _:
            text = printable(str(cell)) if sys.stdout.isatty() else str(cell)
            return neutral(text)
