"""How these commands show what they have read: as a table, or as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from services.cli.terminal import printable, table_console

Output = Annotated[Literal["table", "json"], Parameter(help="A table for people, or JSON for programs.")]


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: Output) -> None:
    """Shows the columns of the rows. JSON has all that the rows have."""
    if output == "json":
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(printable(cell(row.get(column)))) for column in columns))
    table_console().print(table)


def cell(value: Any) -> str:
    """A value in a table. An instant has no seconds."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return f"{moment:%Y-%m-%d %H:%M}Z" if moment.tzinfo and "T" in value else value
    return "-" if value is None else str(value)
