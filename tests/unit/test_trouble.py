"""What stands still says so; what is too much is taken in smaller parts."""

import logging

import pytest
from nats.js.api import RetentionPolicy, StorageType, StreamConfig

from services.cli.status import follower, notices, read_models, seal
from services.projector.projections.availability import AvailabilityChanges
from shared.batch_size import BatchSize
from shared.jetstream import SUBJECTS, wrong_with
from shared.postgres import pieces
from shared.progress import Progress, standing_of
from shared.trouble import Trouble

LEVEL = Progress(20, 3, 20, 7_200.0, None, None, None)


def test_trouble_is_said_when_it_begins_when_it_changes_again_after_a_while_and_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    trouble = Trouble(logging.getLogger("test"), "relay", repeat_s=60, clock=lambda: now)
    for now, words in ((1, "a"), (2, "a"), (60, "a"), (61, "a"), (70, "b"), (71, None), (72, None), (80, "a")):  # noqa: B007
        trouble.clear() if words is None else trouble.report(words)
    assert [record.getMessage() for record in caplog.records] == [
        "relay: a",
        "relay: a (for 60 s)",
        "relay: b (for 69 s)",
        "relay: it goes on, after 70 s",
        "relay: a",
    ]
    assert {record.levelno for record in caplog.records} == {logging.ERROR, logging.WARNING}
    now = 85
    assert (trouble.problem, trouble.seconds) == ("a", 5)


def test_a_batch_that_failed_is_smaller_the_next_time_down_to_one_and_grows_again() -> None:
    size = BatchSize(8)

    def take(error: Exception | None) -> int:
        try:
            with size.adapting(KeyError):
                if error is not None:
                    raise error
        except (KeyError, OSError):
            pass
        return size.now

    lost = OSError()
    outcomes = [lost, lost, KeyError(), lost, lost, None, None, None, None]
    assert [take(error) for error in outcomes] == [4, 2, 2, 1, 1, 2, 4, 8, 8]


@pytest.mark.parametrize("parts", [[], [1], [3, 3, 3], [25, 1], [10, 10], [7, 40, 7]])
def test_rows_go_in_pieces_of_a_bounded_size_and_nothing_is_lost(parts: list[int]) -> None:
    packed = [bytes([number]) * length for number, length in enumerate(parts)]
    made = list(pieces(iter(packed), 10))
    assert b"".join(made) == b"".join(packed)
    assert all(0 < len(piece) <= 10 + 7 for piece in made)


def test_how_far_a_batch_reaches_in_each_pool_is_known_before_it_is_added_up() -> None:
    changes = AvailabilityChanges()
    changes.granted[2] = [(100, 110, (1, 0, 0, 0, 0, 0)), (105, 130, (1, 0, 0, 0, 0, 0))]
    changes.shares[1] = [(7, 8, 100)]
    changes.booked[1] = [(5, 6, (0, 1, 0, 0, 0, 0))]
    hours = changes.hours()
    assert (hours.pools.tolist(), hours.bases.tolist(), hours.lengths.tolist()) == ([1, 2], [5, 100], [3, 30])
    assert hours.total == 33
    assert [len(hours) for _, hours, _ in changes.rows()] == [2, 30]


def test_a_period_that_ends_before_it_starts_is_an_error_before_anything_is_written() -> None:
    changes = AvailabilityChanges()
    changes.granted[1] = [(20, 10, (1, 0, 0, 0, 0, 0))]
    with pytest.raises(ValueError, match="ends before it starts"):
        changes.hours()


@pytest.mark.parametrize(
    ("progress", "state"),
    [
        (LEVEL, "ok"),
        (LEVEL._replace(head=30, moved_s=7_200.0, oldest_s=29.0), "ok"),  # it has just been asked to move
        (LEVEL._replace(head=30, moved_s=0.5, oldest_s=7_200.0), "ok"),  # far behind, and it moves
        (LEVEL._replace(head=30, moved_s=31.0, oldest_s=31.0), "stalled"),
        (LEVEL._replace(head=30, moved_s=1.0, oldest_s=1.0, parked_position=21, parked_error="KeyError"), "parked"),
        (LEVEL._replace(generation=None, position=None, moved_s=None), "missing"),
    ],
)
def test_a_projection_stands_still_when_events_wait_and_none_is_applied(progress: Progress, state: str) -> None:
    assert standing_of(progress, 30.0).state == state
    assert (read_models(progress).trouble is None) == (state == "ok")


def test_whatever_follows_the_events_is_a_trouble_when_an_event_has_waited_for_it() -> None:
    assert seal(LEVEL).trouble is None  # without a sealer there is none that is late
    assert seal(LEVEL._replace(sealed=12, unsealed_s=59.0)).trouble is None
    assert "hourbook sealer" in (seal(LEVEL._replace(sealed=12, unsealed_s=61.0)).trouble or "")
    assert "hourbook projector" in (follower("past", 3, LEVEL, 61.0, "", "hourbook projector").trouble or "")
    late = LEVEL._replace(told_s=10.0, unpublished=3, unpublished_s=61.0)
    assert "3 have waited for the stream" in (notices(late).trouble or "")


def good() -> StreamConfig:
    return StreamConfig(
        name="HOURBOOK",
        subjects=SUBJECTS,
        allow_atomic=True,
        storage=StorageType.FILE,
        max_msgs=-1,
        max_bytes=-1,
        retention=RetentionPolicy.LIMITS,
        max_age=0.0,
        deny_delete=True,
        deny_purge=True,
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"subjects": ["other.>"]}, "its subjects are other.> and should be hourbook.events.>"),
        ({"max_msgs": 10}, "its max_msgs is 10 and should be no limit"),
        ({"max_age": 3600.0}, "its max_age is 3600 and should be no limit"),
        ({"retention": RetentionPolicy.WORK_QUEUE}, "retention"),
        ({"storage": StorageType.MEMORY}, "storage"),
        ({"sealed": True}, "it is sealed and should not be"),
        ({"no_ack": True}, "acknowledgements"),
        ({"allow_atomic": None}, "allow_atomic"),
        ({"deny_purge": False}, "its deny_delete and deny_purge should be true"),
    ],
)
def test_a_stream_that_cannot_hold_every_event_is_wrong_and_it_is_said_what_would_be_right(
    changed: dict[str, object], said: str
) -> None:
    assert wrong_with(good()) is None
    assert said in (wrong_with(good().evolve(**changed)) or "")
