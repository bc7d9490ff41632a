"""Decides a batch of commands in memory: each one on the state that the commands before it left."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from services.command.domain import ProjectState, decide, evolve, nearest
from services.command.domain.access import authorise, may_keep, may_preview
from services.command.domain.bounds import Bounds
from services.command.domain.ended import standing
from services.command.handler.queue import Submitted
from services.command.handler.results import CommandResult, body_around_position
from services.command.handler.states import States
from shared.errors import CapacityExceeded, HourbookError, OutsidePeriod
from shared.event_store import Kept, Pending
from shared.events import Event, encode_event
from shared.http.problems import problem_body
from shared.identity.roles import Policy


class Decision(msgspec.Struct):
    """A command with the events that it makes and its stream's version after them; or with the refusal; or, of a dry
    run, with the result."""

    submitted: Submitted
    events: list[Pending]
    version: int
    refusal: HourbookError | None = None
    preview: CommandResult | None = None


class DecidedBatch(NamedTuple):
    """The decisions of a batch, in order. They hold if each stream is at its `expected` version in the store."""

    expected: dict[str, int]
    decisions: list[Decision]

    def events(self) -> list[Pending]:
        return [event for decision in self.decisions for event in decision.events]


def decide_batch(states: States, batch: list[Submitted], bounds: Bounds, policy: Policy) -> DecidedBatch:
    """Decides the commands in order, and folds their events into `states`. The states must be loaded."""
    expected = {submitted.project: states[submitted.project].version for submitted in batch}
    return DecidedBatch(expected, [_decided(states.used(one.project), one, bounds, policy) for one in batch])


def _decided(state: ProjectState, submitted: Submitted, bounds: Bounds, policy: Policy) -> Decision:
    if submitted.dry_run:
        return _dry_run(state, submitted, bounds, policy)
    seen = standing(state, submitted.ended, submitted.command)
    try:
        authorise(seen, submitted.project, submitted.command, submitted.context.principal, policy)
        events = decide(seen, submitted.project, submitted.command, submitted.context, bounds)
    except HourbookError as refusal:
        return Decision(submitted, [], state.version, refusal)
    pending = [_pending(state, submitted, ordinal, event) for ordinal, event in enumerate(events)]
    return Decision(submitted, pending, state.version)


def _pending(state: ProjectState, submitted: Submitted, ordinal: int, event: Event) -> Pending:
    """Folds the event into the state. Returns it as it is appended."""
    evolve(state, event)
    return Pending(
        submitted.project,
        state.version,
        submitted.context.command,
        ordinal,
        submitted.request_hash,
        type(event).__name__,
        encode_event(event),
        submitted.request_id,
    )


def _dry_run(state: ProjectState, submitted: Submitted, bounds: Bounds, policy: Policy) -> Decision:
    """What the command would do. The state stays as it is. What is denied is refused as without a dry run: a preview
    has figures of the project."""
    project, command, context = submitted.project, submitted.command, submitted.context
    state = standing(state, submitted.ended, command)
    try:
        authorise(state, project, command, context.principal, policy)
        events = decide(state, project, command, context, bounds)
    except HourbookError as refusal:
        if not may_preview(state, refusal, context.principal, policy):
            return Decision(submitted, [], state.version, refusal)
        near = None
        if isinstance(refusal, CapacityExceeded | OutsidePeriod):
            near = nearest(state, project, command, context, bounds)
        preview = CommandResult("", 0, state.version, [], refusal=refusal, nearest=near)
    else:
        preview = CommandResult("", 0, state.version, [encode_event(event) for event in events])
    return Decision(submitted, [], state.version, preview=preview)


def answers_to_keep(decisions: list[Decision]) -> list[Kept]:
    """The answers to idempotency keys that no event will show: of commands that are refused, or change nothing."""
    kept, after = [], 0
    for one in decisions:
        after += len(one.events)
        key, request_hash = one.submitted.request_id, one.submitted.request_hash
        if key is None or one.events or one.preview is not None:
            continue
        if one.refusal is not None:
            if may_keep(one.refusal, unbounded=one.submitted.context.principal.unbounded):
                kept.append(Kept(key, request_hash, one.refusal.status, problem_body(one.refusal)))
        else:
            head, tail = body_around_position(one.submitted.entity_of(one.submitted.context.command), one.version, ())
            kept.append(Kept(key, request_hash, 200, head, tail + b"}", after))
    return kept
