"""The error that the command line shows as one line, without a traceback."""

from __future__ import annotations


class Failure(Exception):
    """The command cannot go on, and ends with the exit status 1. The message says what failed and what to do."""
