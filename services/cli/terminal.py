"""The terminal that a table is shown on, and text that cannot steer it."""

from __future__ import annotations

import sys
import unicodedata

from rich.console import Console

PIPED_WIDTH = 200
UNSAFE = ("Cc", "Cs", "Zl", "Zp")  # control characters, lone surrogates, separators of lines and paragraphs
DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def table_console() -> Console:
    """Standard output: as wide as the terminal, or PIPED_WIDTH when it is not a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def printable(text: str) -> str:
    """The text, with an escape such as `\\x1b` for each character that would steer the terminal or hide text."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if is_safe(character) else escaped(character) for character in text)


def is_safe(character: str) -> bool:
    return character == "\n" or not (unicodedata.category(character) in UNSAFE or character in DIRECTIONS)


def escaped(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
