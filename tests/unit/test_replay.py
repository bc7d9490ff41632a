"""A state that is loaded by columns is the one that the events make one by one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from services.command.domain import ProjectState, evolve
from services.command.domain.replay import Replay
from services.command.handler.replaying import began_of
from shared.events import Event, encode_event
from shared.timeline import Timeline
from tests.support.histories import T0, history

SEEDS = 12


def events_of(seed: int) -> list[Event]:
    return [event for event in history(seed, 400) if event.project == f"project-{seed % 2}"]


def one_by_one(events: list[Event], floor: int = 0) -> ProjectState:
    state = ProjectState(floor=floor)
    for event in events:
        evolve(state, event)
    return state


def by_columns(events: list[Event], chance: random.Random, floor: int = 0) -> ProjectState:
    """Takes the events in pieces, and is sometimes finished between them."""
    replay, stored = Replay(ProjectState(floor=floor)), [encode_event(event) for event in events]
    every = began_of(stored)
    while stored:
        piece, stored = stored[: (count := chance.choice([1, 7, 60, 400]))], stored[count:]
        if unknown := replay.take(piece):
            replay.learn({booking: every[booking] for booking in unknown})
            assert not replay.take(piece)
        if chance.random() < 0.1:
            replay.settle()
        if chance.random() < 0.05:
            replay.finish()
            replay = Replay(replay.state)
    replay.finish()
    return replay.state


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_state_by_columns_is_the_one_that_the_events_make(seed: int) -> None:
    events = events_of(seed)
    state = by_columns(events, random.Random(seed))
    holders = (*state.pools.values(), *state.accounts.values())
    assert state.timeline_bytes == sum(timeline.held for holder in holders for timeline in holder.timelines())
    assert state.account_hours == sum(account.hours() for account in state.accounts.values())
    assert said(state) == said(one_by_one(events))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_from_the_floor_on_it_says_the_same_without_what_ended_before(seed: int) -> None:
    events, floor = events_of(seed), T0 + 20 + 10 * seed
    state, whole = by_columns(events, random.Random(seed), floor), one_by_one(events, floor)
    kept, there = (
        {key: one for key, one in each.bookings.items() if one.end > floor and one.end > one.began}
        for each in (whole, state)
    )
    assert there == kept
    assert state.account_hours == sum(account.hours() for account in state.accounts.values())
    assert len(state.bookings) < len(whole.bookings)
    assert state.tentative.keys() == whole.tentative.keys() & kept.keys()
    assert state.series == whole.series
    assert state.names == whole.names
    for one in (state, whole):
        for holder in (*one.pools.values(), *one.accounts.values()):
            for timeline in holder.timelines():
                timeline.drop_before(floor)
    assert {name: (pool.free.base, pool.free.end) for name, pool in state.pools.items()} == {
        name: (pool.free.base, pool.free.end) for name, pool in whole.pools.items()
    }
    assert said(state, reach=False)["pools"] == said(whole, reach=False)["pools"]
    assert said(state, reach=False)["accounts"] == said(whole, reach=False)["accounts"]


def said(state: ProjectState, *, reach: bool = True) -> dict[str, Any]:
    """All that a state says. Without `reach`, not which hours of timelines were ever written."""

    def value(field: Any) -> Any:
        if not isinstance(field, Timeline):
            return field
        starts, rows = field.runs()
        return (field.base, field.end) if reach else (), starts.tolist(), rows.tolist()

    fields = {name: getattr(state, name) for name in state.__struct_fields__ if name != "timeline_bytes"}
    pools = {
        name: {field: value(getattr(pool, field)) for field in pool.__struct_fields__}
        for name, pool in state.pools.items()
    }
    accounts = {
        name: (
            one.limits,
            one.open,
            value(one.held),
            {pool: value(shares) for pool, shares in one.shares.items() if reach or shares.any()},
        )
        for name, one in state.accounts.items()
    }
    return {**fields, "pools": pools, "accounts": accounts}
