"""Tables as text (RFC 4180), the one way in which any is written.

A spreadsheet takes a cell that begins with one of `= + - @`, a tab or a line break for a formula, and carries it out.
So a text that does, or begins with an apostrophe, gets an apostrophe before it: whoever takes one apostrophe from the
beginning of each text has what was there. A number is never touched, also when it is less than nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

# The full-width forms are folded to the plain ones by spreadsheets of East Asia.
NEUTRALISED = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")  # noqa: RUF001


def table(items: Iterable[Mapping[str, Any]], names: Sequence[str]) -> bytes:
    """A row an item, under its names."""
    return table_lines([names]) + table_lines([item[name] for name in names] for item in items)


def table_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    """A line a row; a cell is quoted where it must be."""
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def cell(value: Any) -> Any:
    """Truth is told as in JSON, an instant with Z."""
    if isinstance(value, str):
        return neutral(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, msgspec.Raw):
        return neutral(bytes(value).decode())
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value


def neutral(text: str) -> str:
    return f"'{text}" if text.startswith(NEUTRALISED) else text
