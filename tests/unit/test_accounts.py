"""Accounts of a project and their limits. Every refusal names the limit and the numbers."""

import pytest

from services.command.domain import CloseAccount, CreateAccount, SetLimits
from shared.errors import AccountLimitExceeded, AlreadyExists, InvalidField, Refused, UnknownId
from shared.events import Limits
from tests.support.project import Project


@pytest.fixture
def gaia() -> Project:
    project = Project()
    project.grant(0, 2000, 100)
    return project


def limited(gaia: Project, **limits: object) -> None:
    gaia.do(CreateAccount(account="ada", name="Ada", limits=Limits(**limits)))  # type: ignore[arg-type]


def refusal(gaia: Project, *asked: int, **more: object) -> dict[str, object]:
    with pytest.raises(AccountLimitExceeded) as refused:
        gaia.book(*asked, **more)  # type: ignore[arg-type]
    return {name: refused.value.facts[name] for name in ("limit", "asked", "allowed")}


def test_any_name_books_until_the_project_lists_one(gaia: Project) -> None:
    gaia.book(0, 1, 1, account="grace")
    limited(gaia)
    gaia.book(0, 1, 1, account="ada")
    with pytest.raises(UnknownId, match="grace"):
        gaia.book(0, 1, 1, account="grace")
    with pytest.raises(AlreadyExists):
        limited(gaia)


def test_a_closed_account_books_nothing_more_and_keeps_what_it_has(gaia: Project) -> None:
    limited(gaia)
    booking = gaia.book(0, 2, 1)
    assert len(gaia.do(CloseAccount(account="ada"))) == 1
    assert gaia.do(CloseAccount(account="ada")) == []
    with pytest.raises(Refused, match="closed"):
        gaia.book(5, 6, 1)
    with pytest.raises(Refused, match="closed"):
        gaia.amend(booking, end=4)
    assert gaia.free(0, 3) == [99, 99, 100]


def test_capacity_held_at_the_same_time(gaia: Project) -> None:
    gaia.book(0, 5, 3)  # before the project lists the account
    limited(gaia, capacity={"cores": 5})
    gaia.book(4, 8, 2)
    assert refusal(gaia, 4, 5, 1) == {"limit": "capacity", "asked": 6, "allowed": 5}
    gaia.book(5, 8, 3)


def test_a_share_counts_what_it_is_of_the_size(gaia: Project) -> None:
    gaia.cluster("gaia.spark", 0, 10, 10)
    limited(gaia, capacity={"cores": 5})
    gaia.book(0, 2, pool="gaia.spark", share=3100)  # 3.1, so 4
    assert refusal(gaia, 1, 3, 2) == {"limit": "capacity", "asked": 6, "allowed": 5}
    gaia.book(1, 3, 1)


def test_resource_hours_of_a_calendar_month(gaia: Project) -> None:
    limited(gaia, monthly_hours={"cores": 100})
    gaia.book(0, 10, 9)
    january = 31 * 24
    assert refusal(gaia, january - 11, january + 50, 1) == {"limit": "monthly_hours", "asked": 101, "allowed": 100}
    booking = gaia.book(january - 10, january + 50, 1)
    with pytest.raises(AccountLimitExceeded):
        gaia.amend(booking, counts={"cores": 2})
    gaia.amend(booking, end=january + 90)


def test_how_far_ahead_and_how_long(gaia: Project) -> None:
    limited(gaia, ahead_hours=30, duration_hours=8)  # now is 24 hours before hour 0
    assert refusal(gaia, 7, 8, 1) == {"limit": "ahead_hours", "asked": 31, "allowed": 30}
    assert refusal(gaia, 0, 9, 1) == {"limit": "duration_hours", "asked": 9, "allowed": 8}
    booking = gaia.book(0, 8, 1)
    gaia.at(5)
    with pytest.raises(AccountLimitExceeded):
        gaia.amend(booking, end=9)  # it is one booking, since hour 0


def test_limits_are_replaced_whole_and_checked(gaia: Project) -> None:
    limited(gaia, duration_hours=1)
    gaia.do(SetLimits(account="ada", limits=Limits(capacity={"cores": 1})))
    gaia.book(0, 100, 1)
    assert gaia.do(SetLimits(account="ada", limits=Limits(capacity={"cores": 1}))) == []
    with pytest.raises(InvalidField, match=r"limits\.capacity"):
        gaia.do(SetLimits(account="ada", limits=Limits(capacity={"gpus": 1})))


def test_what_only_gives_back_is_never_refused(gaia: Project) -> None:
    booking = gaia.book(0, 10, 9)
    limited(gaia, capacity={"cores": 2})
    with pytest.raises(AccountLimitExceeded):
        gaia.amend(booking, end=11)
    gaia.amend(booking, counts={"cores": 5})
    gaia.do(CloseAccount(account="ada"))
    gaia.amend(booking, end=9)
    assert gaia.free(0, 10) == [95] * 9 + [100]


def test_limits_of_more_than_a_century_are_refused(gaia: Project) -> None:
    with pytest.raises(InvalidField, match=r"limits\.ahead_hours"):
        limited(gaia, ahead_hours=10**30)
