"""Every error that Hourbook tells a person about. The class's docstring is its meaning, `code` is stable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self


class HourbookError(Exception):
    """Something was wrong with what was asked. `facts` become members of the problem document (RFC 9457)."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request cannot be carried out"

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class InvalidField(HourbookError):
    """A field of the request does not hold what it must."""

    code = "invalid_field"
    title = "A field of the request is not valid"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}", errors=[{"field": field, "detail": problem}])
        self.field = field

    @classmethod
    def several(cls, problems: Sequence[tuple[str, str]]) -> Self:
        """One error of all fields that are not as they must be, one at least: each with what is wrong with it."""
        error = cls(*problems[0])
        error.detail = "; ".join(f"{field}: {problem}" for field, problem in problems)
        error.facts = {"errors": [{"field": field, "detail": problem} for field, problem in problems]}
        return error


class UnknownId(HourbookError):
    """The request names a project, cluster, grant or booking that does not exist."""

    code = "unknown_id"
    status = 404
    title = "There is no such thing"

    def __init__(self, field: str, kind: str, given: str) -> None:
        super().__init__(
            f"{field}: there is no {kind} {given!r}", errors=[{"field": field, "detail": f"no such {kind}"}]
        )


class Refused(HourbookError):
    """The request is well formed, and a rule of the ledger forbids it."""

    code = "refused"
    status = 409
    title = "The ledger refuses this"


class AlreadyExists(Refused):
    """An id that the client chose is taken."""

    code = "already_exists"
    title = "The id is taken"


class OutsidePeriod(Refused):
    """A resize reaches outside the cluster's own period."""

    code = "outside_period"
    title = "The period lies outside the cluster's"


class PastIsImmutable(Refused):
    """What has happened cannot be undone: cancel, withdraw and resize act from the next whole hour on."""

    code = "past_is_immutable"
    title = "The past cannot be edited"


class NoLongerHeld(Refused):
    """The booking was cancelled or has lapsed, the resize has failed or was applied: there is none left to change."""

    code = "no_longer_held"
    title = "There is nothing left of it to change"


class CapacityExceeded(Refused):
    """Some hour would be promised more than it has. `shortages` lists the hours, dimension, asked and available."""

    code = "capacity_exceeded"
    title = "There is not enough capacity"


class AccountLimitExceeded(Refused):
    """The project bounds what the account may take. `limit` names the bound; `asked` and `allowed` are its numbers."""

    code = "account_limit_exceeded"
    title = "The account's limit does not allow this"


class ProjectLimitExceeded(Refused):
    """A project would hold more of something than the service lets one project hold. `limit` names the bound, `asked`
    and `allowed` are its numbers, and `setting` is what whoever runs the service can raise."""

    code = "project_limit_exceeded"
    title = "The project would be too large"


class TooMuchAtOnce(Refused):
    """One command would have so much to look at that all others would wait for it. Nothing was changed: ask for less,
    in several steps. `asked` and `allowed` are the numbers."""

    code = "too_much_at_once"
    title = "This is too much for one command"
