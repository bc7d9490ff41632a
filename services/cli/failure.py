"""The errors that the command line shows as one line, without a traceback."""

from __future__ import annotations

from typing import ClassVar


class Failure(Exception):
    """The command cannot go on, and ends with `exit_status`. The message says what failed and what to do."""

    exit_status: ClassVar[int] = 1


class WrongUse(Failure):
    """An option or argument is wrong. The message names it, and says what would be right."""

    exit_status = 2


class RefusedByLedger(Failure):
    """The ledger refuses the command, such as for want of capacity."""

    exit_status = 3


class NotAllowed(Failure):
    """The caller is not signed in, or may not do this."""

    exit_status = 4
