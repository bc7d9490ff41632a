"""What the command line tells a person instead of a traceback."""

from __future__ import annotations


class Failure(Exception):
    """The command cannot go on. The message says what failed and what to do; the exit status is 1."""
