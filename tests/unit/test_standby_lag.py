"""How far a standby is behind: from what both servers were seen to have, second by second."""

from __future__ import annotations

from services.query.standby import UNREACHED_MAX, Lag, Marks

MAX_S = 10.0


def marks(head: int, revoked: int = 0) -> Marks:
    return Marks(head, head, revoked, 0, 0)


def test_a_standby_that_follows_within_a_second_is_never_behind_for_long() -> None:
    lag = Lag(MAX_S)
    for second in range(100):
        lag.note(second, marks(50 * second), marks(50 * second - 10))
        assert lag.behind_s <= 1
        assert not lag.too_far


def test_one_that_stands_still_is_too_far_behind_after_the_bound_until_it_has_caught_up() -> None:
    lag = Lag(MAX_S)
    lag.note(0, marks(5), marks(5))
    for second in range(1, 400):
        lag.note(second, marks(5 + second), marks(5))
        assert lag.too_far == (second - 1 > MAX_S)
    lag.note(400, marks(500), marks(6))
    assert lag.too_far, "it has got the first of what it lacked, and not the rest"
    lag.note(401, marks(500), marks(500))
    assert (lag.behind_s, lag.too_far) == (0, False)


def test_a_revoked_credential_alone_is_enough_to_be_behind() -> None:
    lag = Lag(MAX_S)
    lag.note(0, marks(5, revoked=1), marks(5, revoked=0))
    lag.note(11, marks(5, revoked=1), marks(5, revoked=0))
    assert lag.too_far


def test_nothing_is_behind_where_nothing_happens() -> None:
    lag = Lag(MAX_S)
    for second in range(100):
        lag.note(second, marks(5), marks(5))
    assert lag.behind_s == 0


def test_it_falls_no_further_behind_while_the_primary_does_not_answer() -> None:
    lag = Lag(MAX_S)
    lag.note(0, marks(5), marks(5))
    lag.note(1, marks(9), marks(5))
    lag.note(4, marks(9), marks(5))
    for second in range(5, 100):
        lag.note(second, None, marks(5))
        assert lag.behind_s == 3
    assert lag.compared_at == 4


def test_one_that_was_too_far_behind_is_not_trusted_because_the_primary_is_gone() -> None:
    lag = Lag(MAX_S)
    for second in range(20):
        lag.note(second, marks(9 + second), marks(5))
    lag.note(20, None, marks(5))
    assert lag.too_far
    lag.note(21, None, marks(28))
    assert not lag.too_far, "it has all that the primary was seen to have"


def test_a_new_primary_that_has_less_is_the_measure() -> None:
    """An asynchronous standby was promoted: what it had not got is lost."""
    lag = Lag(MAX_S)
    lag.note(0, marks(100, revoked=7), marks(90, revoked=6))
    for second in range(1, 60):
        lag.note(second, marks(90 + second, revoked=6), marks(89 + second, revoked=6))
        assert not lag.too_far
    assert lag.floor < 150


def test_the_floor_is_what_the_primary_showed_that_long_ago() -> None:
    lag = Lag(MAX_S)
    for second in range(30):
        lag.note(second, marks(1000 + second), marks(5))
        assert lag.floor == max(0, 1000 + second - 10 if second >= MAX_S else 0)


def test_what_is_kept_is_bounded() -> None:
    lag = Lag(MAX_S)
    for second in range(10 * UNREACHED_MAX):
        lag.note(second, marks(9 + second), marks(5))
    assert len(lag._unreached) <= UNREACHED_MAX + 1
    assert lag.behind_s == 10 * UNREACHED_MAX - 1
