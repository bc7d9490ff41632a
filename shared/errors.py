"""The errors that a client gets as problem documents (RFC 9457).

OpenAPI shows the docstring of a class as the meaning of its `code`. A `code` never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self


def words_of(error: BaseException) -> str:
    """What an error says; its class if it says nothing, as TimeoutError does."""
    return str(error) or type(error).__name__


class HourbookError(Exception):
    """Base class. `detail` says what is wrong in this case. `facts` become members of the problem document."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request failed"
    denied = False  # whether the reason is that the principal lacks a right; the client of an UnknownId does not see it
    lacked: Mapping[str, Any] = {}  # of an UnknownId that is denied: what was needed, for the log of refusals

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class InvalidField(HourbookError):
    """A field, parameter or header of the request is missing or has a wrong value. `errors` names each one."""

    code = "invalid_field"
    title = "A field of the request is not valid"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}", errors=[{"field": field, "detail": problem}])
        self.field = field

    @classmethod
    def several(cls, problems: Sequence[tuple[str, str]]) -> Self:
        """One error for several fields. `problems` has (field, problem) pairs, at least one."""
        error = cls(*problems[0])
        error.detail = "; ".join(f"{field}: {problem}" for field, problem in problems)
        error.facts = {"errors": [{"field": field, "detail": problem} for field, problem in problems]}
        return error


class UnknownId(HourbookError):
    """The request names something that does not exist, such as a project, a cluster, a grant or a booking. `errors`
    names the field."""

    code = "unknown_id"
    status = 404
    title = "The id is unknown"

    def __init__(self, field: str, kind: str, given: str) -> None:
        super().__init__(
            f"{field}: there is no {kind} {given!r}", errors=[{"field": field, "detail": f"no such {kind}"}]
        )


class Refused(HourbookError):
    """The request is valid, but a rule of the ledger forbids it."""

    code = "refused"
    status = 409
    title = "A rule of the ledger forbids this"


class AlreadyExists(Refused):
    """The client chose an id that exists already."""

    code = "already_exists"
    title = "The id exists already"


class OutsidePeriod(Refused):
    """A resize, or a booking of a share, starts before the cluster's period or ends after it."""

    code = "outside_period"
    title = "The period is not within the cluster's period"


class PastIsImmutable(Refused):
    """The request would change an hour that has begun. Cancel, withdraw, amend and resize change only hours that begin
    later."""

    code = "past_is_immutable"
    title = "The past cannot be changed"


class NoLongerHeld(Refused):
    """The booking or the resize request has ended, so it cannot change. A booking ends when it is cancelled or lapses,
    a resize request when it is applied or fails."""

    code = "no_longer_held"
    title = "It has ended and cannot change"


class CapacityExceeded(Refused):
    """In some hour, the pool has less capacity than the request needs. `shortages` lists those hours, each with the
    dimension, the amount asked for and the amount available."""

    code = "capacity_exceeded"
    title = "There is not enough capacity"


class AccountLimitExceeded(Refused):
    """The request exceeds a limit that the project set for the account. `limit` names it, `asked` is the amount that
    the request needs, `allowed` the amount that the limit allows."""

    code = "account_limit_exceeded"
    title = "The request exceeds a limit of the account"


class ProjectLimitExceeded(Refused):
    """The project would become larger than the service allows. `limit` names what there would be too much of, `asked`
    is the amount that there would be, `allowed` the largest one. The operator of the service can raise `setting`."""

    code = "project_limit_exceeded"
    title = "The project would be too large"


class TooMuchAtOnce(Refused):
    """One command needs too much work, and other commands would wait for it. Nothing was changed. Split it into several
    smaller commands. `asked` is the amount of work that it needs, `allowed` the largest one."""

    code = "too_much_at_once"
    title = "The command is too large"
