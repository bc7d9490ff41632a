"""Tables as CSV (RFC 4180). All tables are written here.

A text that a spreadsheet could take for a formula gets an apostrophe in front. Numbers stay as they are, also negative
ones.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from shared.spreadsheets import neutral


def table(items: Iterable[Mapping[str, Any]], names: Sequence[str]) -> bytes:
    """A header line of the names, and one row for each item."""
    return table_lines([names]) + table_lines([item[name] for name in names] for item in items)


def table_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    """One line for each row. A cell is quoted only where it must be."""
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def cell(value: Any) -> Any:
    """The text of a value: `true` and `false` as in JSON, an instant with `Z`."""
    if isinstance(value, str):
        return neutral(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, msgspec.Raw):
        return neutral(bytes(value).decode())
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value
