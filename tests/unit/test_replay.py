"""A state that is loaded by columns is the one that the events make one by one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from services.command.domain import ProjectState, evolve
from services.command.domain.replay import Replay
from shared.events import encode_event
from tests.support.histories import history


@pytest.mark.parametrize("seed", range(40))
def test_a_state_by_columns_is_the_one_that_the_events_make(seed: int) -> None:
    events = [event for event in history(seed, 500) if event.project == f"project-{seed % 2}"]
    single, chance = ProjectState(), random.Random(seed)
    for event in events:
        evolve(single, event)
    replay, stored = Replay(ProjectState()), [encode_event(event) for event in events]
    while stored:
        count = chance.choice([1, 7, 60, 400])
        replay.take(stored[:count])
        stored = stored[count:]
        if chance.random() < 0.1:
            replay.settle()
        if chance.random() < 0.05:
            replay.finish()
            replay = Replay(replay.state)
    replay.finish()
    whole(replay.state)
    assert said(replay.state) == said(single)


def said(state: ProjectState) -> dict[str, Any]:
    """All that a state says."""
    fields = {name: getattr(state, name) for name in state.__struct_fields__ if name != "timeline_bytes"}
    pools = {
        name: {field: value(getattr(pool, field)) for field in pool.__struct_fields__}
        for name, pool in state.pools.items()
    }
    accounts = {
        name: (one.limits, one.open, value(one.held), {pool: value(shares) for pool, shares in one.shares.items()})
        for name, one in state.accounts.items()
    }
    return {**fields, "pools": pools, "accounts": accounts}


def value(field: Any) -> Any:
    if not hasattr(field, "runs"):
        return field
    starts, rows = field.runs()
    return field.base, field.end, starts.tolist(), rows.tolist()


def whole(state: ProjectState) -> None:
    holders = (*state.pools.values(), *state.accounts.values())
    assert state.timeline_bytes == sum(timeline.held for holder in holders for timeline in holder.timelines())
