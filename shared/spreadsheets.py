"""What a spreadsheet must not take for a formula.

A spreadsheet runs a cell as a formula when it begins with one of `= + - @`, a tab or a line break. So a text that
begins with one of these, or with an apostrophe, gets an apostrophe in front. To get the text back, remove one
apostrophe from its beginning.
"""

from __future__ import annotations

# East Asian spreadsheets treat the full-width forms as the plain ones.
NEUTRALISED = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")  # noqa: RUF001


def neutral(text: str) -> str:
    """The text, with an apostrophe in front when a spreadsheet could take it for a formula."""
    return f"'{text}" if text.startswith(NEUTRALISED) else text
