"""Why nothing is appended though the database answers."""

from __future__ import annotations

from shared.errors import HourbookError

NO_TERM = (
    "the database was promoted or restored, and its term has not begun: a command service that reaches NATS compares "
    "the store with the stream and begins it"
)


class Unsettled(HourbookError):
    """The store and the event stream have different histories, or the database was promoted or restored and its term
    has not begun. Nothing is accepted until that is settled. The health of the service says more."""

    code = "history_unsettled"
    status = 503
    title = "The history is not settled"

    def __init__(self, detail: str, *, passing: bool = False) -> None:
        """`passing`: it may be settled in a moment."""
        super().__init__(detail)
        self.passing = passing
