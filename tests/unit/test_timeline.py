"""A timeline says the same as one dense array, whatever is done to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.capacity import Vector
from shared.timeline import PAGE_HOURS, Timeline

HOURS = 5 * PAGE_HOURS
FIRST = -2 * PAGE_HOURS  # of the dense array


class Write(NamedTuple):
    """One thing that is done to a timeline. `amounts` has a number, a vector, or a seed of one vector for each hour."""

    what: str
    start: int
    end: int
    amounts: int | tuple[int, ...] | str

    def values(self, width: int) -> Vector | int:
        if isinstance(self.amounts, int):
            return self.amounts
        if isinstance(self.amounts, tuple):
            return np.array(self.amounts[:width], dtype=np.int64)
        draw = np.random.default_rng(len(self.amounts))
        steps = draw.integers(-3, 4, (self.end - self.start, width)) * (
            draw.random((self.end - self.start, 1)) < (0.01 if len(self.amounts) % 2 else 0.5)
        )
        return steps.cumsum(axis=0)


hours = st.one_of(
    st.integers(0, HOURS),
    st.integers(0, 5).map(lambda page: page * PAGE_HOURS),
    st.integers(PAGE_HOURS - 20, PAGE_HOURS + 20),
)
amounts = st.one_of(st.integers(-3, 3), st.tuples(*[st.integers(-3, 3)] * 6), st.text("x", min_size=1, max_size=30))
writes = st.builds(
    lambda what, one, other, much: Write(what, min(one, other) + FIRST, max(one, other) + FIRST, much),
    st.sampled_from(["add", "add", "add", "add", "write", "write", "add_runs", "drop", "freeze", "fork", "runs"]),
    hours,
    hours,
    amounts,
)


class Both:
    """A timeline, and the dense array that says what it must say."""

    def __init__(self, width: int) -> None:
        self.timeline = Timeline(width=width)
        self.dense = np.zeros((HOURS, width), dtype=np.int64)
        self.held = 0
        self.frozen: list[tuple[Timeline, Vector]] = []

    def do(self, one: Write) -> None:
        low, high = one.start - FIRST, one.end - FIRST
        values = one.values(self.dense.shape[1])
        match one.what:
            case "add":
                self.held += self.timeline.add(one.start, one.end, values)
                self.dense[low:high] += values
            case "add_runs":
                edges = np.array([one.start, (one.start + one.end) // 2, one.end])
                if one.start < edges[1]:
                    rows = np.stack((self.dense[low] * 0 + 2, self.dense[low] * 0 - 1))
                    self.held += self.timeline.add_runs(edges, rows)
                    self.dense[low : edges[1] - FIRST] += 2
                    self.dense[edges[1] - FIRST : high] -= 1
            case "write":
                values = np.broadcast_to(values, self.dense[:1].shape)[0] if np.ndim(values) < 2 else values
                self.held += self.timeline.write(one.start, one.end, values)
                self.dense[low:high] = values
            case "drop":
                self.held += self.timeline.drop_before(one.start)
                self.dense[:low] = 0
            case "freeze":
                self.frozen.append((self.timeline.freeze(), self.dense.copy()))
            case "fork":
                fork, before = self.timeline.fork(), self.held
                fork.add(one.start, one.end, values)
                dense = self.dense.copy()
                dense[low:high] += values
                dense[: max(0, self.timeline.floor - FIRST)] = 0
                check(fork, dense)
                assert self.held == before
            case "runs":
                self.timeline, width = restored(self.timeline), self.dense.shape[1]
                assert self.timeline.width == width
                self.held = self.timeline.held
        self.dense[: max(0, self.timeline.floor - FIRST)] = 0  # a write below the floor changes nothing


def restored(timeline: Timeline) -> Timeline:
    copy = Timeline(width=timeline.width)
    starts, rows = timeline.runs()
    copy.write_runs(starts, rows[:-1])
    copy.drop_before(timeline.floor)
    return copy


def check(timeline: Timeline, dense: Vector) -> None:
    every = timeline.read(FIRST, FIRST + HOURS)
    assert np.array_equal(every, dense)
    assert timeline.any() == dense.any()
    filled = np.flatnonzero(dense.any(axis=1))
    assert timeline.last_hour() == (filled[-1] + 1 + FIRST if len(filled) else 0)
    starts, rows = timeline.runs()
    changes = np.diff(np.vstack((np.zeros_like(dense[:1]), dense, np.zeros_like(dense[:1]))), axis=0).any(axis=1)
    assert starts.tolist() == (np.flatnonzero(changes) + FIRST).tolist()
    assert np.array_equal(rows[:-1], dense[starts[:-1] - FIRST])
    assert not rows[-1:].any()
    assert all(timeline.base <= hour + FIRST < timeline.end for hour in filled)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([1, 6]), st.lists(writes, max_size=25), st.lists(st.tuples(hours, hours), max_size=5))
def test_a_timeline_says_what_a_dense_array_says(width: int, done: list[Write], reads: list[tuple[int, int]]) -> None:
    both = Both(width)
    for one in done:
        both.do(one)
        assert both.timeline.held == both.held
    check(both.timeline, both.dense)
    for one, other in reads:
        low, high = min(one, other), max(one, other)
        assert np.array_equal(both.timeline.read(low + FIRST, high + FIRST), both.dense[low:high])
        for start, end, cells in both.timeline.pieces(low + FIRST, high + FIRST):
            assert (cells == both.dense[start - FIRST : end - FIRST]).all()
    for frozen, dense in both.frozen:
        check(frozen, dense)
