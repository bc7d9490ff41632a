"""What a process has appended goes to its relay as it was stored, or not at all: then the relay reads it."""

from __future__ import annotations

from uuid import UUID

from services.command.just_appended import JustAppended
from shared.event_store import Pending, Stored

TERM, NEXT = UUID(int=1), UUID(int=2)


def pending(version: int) -> Pending:
    return Pending("gaia", version, UUID(int=version), 0, b"hash", "Tested", b"{%d}" % version, UUID(int=9))


def stored(position: int, version: int) -> Stored:
    one = pending(version)
    return Stored(
        position, "gaia", version, one.command_id, one.request_id, one.request_hash, one.type, one.data, one.ordinal
    )


def test_events_leave_once_in_order_and_so_many_as_are_asked_for() -> None:
    newest = JustAppended(10)
    newest.add(TERM, 5, [pending(1), pending(2)])
    newest.add(TERM, 7, [pending(3)])
    assert newest.after(4, 2, TERM) == [stored(5, 1), stored(6, 2)]
    assert newest.after(4, 2, TERM) == []  # they have left: whoever lost them reads the store
    assert newest.after(6, 2, TERM) == [stored(7, 3)]


def test_what_was_published_already_is_left_out() -> None:
    newest = JustAppended(10)
    newest.add(TERM, 5, [pending(1), pending(2), pending(3)])
    assert newest.after(6, 9, TERM) == [stored(7, 3)]


def test_nothing_is_given_over_the_event_of_another_process() -> None:
    newest = JustAppended(10)
    newest.add(TERM, 5, [pending(1)])
    newest.add(TERM, 7, [pending(2)])  # another process has stored 6
    assert newest.after(4, 9, TERM) == []
    assert newest.after(6, 9, TERM) == [stored(7, 2)]


def test_the_events_of_another_term_are_not_given() -> None:
    """Another primary of PostgreSQL may have another event at the same position."""
    newest = JustAppended(10)
    newest.add(TERM, 5, [pending(1)])
    assert newest.after(4, 9, NEXT) == []
    newest.add(NEXT, 5, [pending(2)])
    assert newest.after(4, 9, TERM) == []
    assert newest.after(4, 9, NEXT) == [stored(5, 2)]


def test_no_more_are_kept_than_there_is_room_for() -> None:
    """As while the NATS server is away for an hour."""
    newest = JustAppended(3)
    for position in range(1, 6):
        newest.add(TERM, position, [pending(position)])
    assert newest.after(0, 9, TERM) == []
    assert newest.after(3, 9, TERM) == [stored(4, 4), stored(5, 5)]
