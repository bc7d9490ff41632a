"""The whole check at the end: the acknowledged commands, store, stream, subscribers, read models, and the seal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from uuid import UUID

import nats
from nats.js.api import AckPolicy, ConsumerConfig

from services.projector.rebuild.rebuild import rebuild
from services.projector.rebuild.verification import TrustedCheckpoint, verify
from shared import postgres
from shared.event_store import EventStore, Stored
from shared.event_store.terms import LEDGER
from shared.events import decode_event
from shared.identity.principals import CLOCK
from shared.jetstream import STREAM, cloud_event, leave
from tests.support.backends import as_role
from tests.support.oracle import bound, bound_rows, oracle, table
from tests.support.system import System
from tests.torture.followers import Place, digest_of
from tests.torture.record import Record

PIECE = 500


class Verdict:
    """What the check has found. `wrong` is empty if everything holds."""

    def __init__(self) -> None:
        self.events = self.acknowledged = self.lost = self.doubled = self.terms = 0
        self.wrong: list[str] = []

    def expect(self, holds: bool, words: str) -> None:
        if not holds:
            self.wrong.append(words)


async def check(system: System, record: Record, places: Sequence[Place], kept: str, key: str) -> Verdict:
    """`kept` is a signed checkpoint of an early moment, `key` the public key that signs."""
    verdict = Verdict()
    verdict.wrong += record.wrong
    stored = await read_store(system)
    verdict.events = len(stored)
    check_store(verdict, stored)
    check_acknowledged(verdict, stored, record)
    await check_stream(verdict, system, stored)
    digest = digest_of([event.data for event in stored])
    for place in places:
        same = (place.position, place.digest) == (len(stored), digest)
        verdict.expect(same, f"{place.name} is at {place.position} of {len(stored)}, with {place.digest[:8]}…")
    await check_read_models(verdict, system, stored)
    await check_seal(verdict, system, kept, key)
    return verdict


async def read_store(system: System) -> list[Stored]:
    connection = await postgres.connect(system.postgres.url)
    try:
        stored: list[Stored] = []
        while piece := await EventStore(connection).after(len(stored), 10 * PIECE):  # raises PositionGap
            stored += piece
        return stored
    finally:
        await connection.close()


def check_store(verdict: Verdict, stored: Sequence[Stored]) -> None:
    """Each stream counts its versions without a gap; no command and no key has events twice."""
    versions: Counter[str] = Counter()
    of_key: dict[UUID, UUID] = {}
    made: set[tuple[UUID, int]] = set()
    for event in stored:
        versions[event.stream] += 1
        verdict.expect(event.version == versions[event.stream], f"{event.position} has the version {event.version}")
        if (event.command_id, event.ordinal) in made:
            verdict.doubled += 1
            verdict.wrong.append(f"the command {event.command_id} is there twice, at {event.position} again")
        made.add((event.command_id, event.ordinal))
        if event.request_id is not None:
            same = of_key.setdefault(event.request_id, event.command_id) == event.command_id
            verdict.expect(same, f"a key has two commands: {event.position}")
    verdict.terms = versions[LEDGER]


def check_acknowledged(verdict: Verdict, stored: Sequence[Stored], record: Record) -> None:
    """Each acknowledged command is there, as it was answered, and there is no other: every writer repeated each command
    until its outcome was known."""
    events: dict[UUID, list[Stored]] = defaultdict(list)
    for event in stored:
        events[event.command_id].append(event)
    verdict.acknowledged = len(record.acknowledged)
    for command, answered in record.acknowledged.items():
        there = events.pop(command, [])
        verdict.lost += not there
        is_so = there and (len(there), there[-1].position) == answered
        verdict.expect(bool(is_so), f"{command} was answered as {answered}; the store has {len(there)} events of it")
    for command, there in events.items():
        by_itself = there[0].stream == LEDGER or decode_event(there[0].data).actor == CLOCK.id
        verdict.expect(by_itself, f"nobody was told of {command}: {there[0].type} at {there[0].position}")


async def check_stream(verdict: Verdict, system: System, stored: Sequence[Stored]) -> None:
    """The stream has the events of the store, byte for byte, and nothing else."""
    client = await nats.connect(system.nats.url.split(","))
    try:
        context = client.jetstream(timeout=20)
        state = (await context.stream_info(STREAM)).state
        ends = (state.messages, state.first_seq, state.last_seq)
        verdict.expect(ends == (len(stored), 1, len(stored)), f"the stream has {ends}, the store {len(stored)}")
        made = await context.add_consumer(STREAM, ConsumerConfig(ack_policy=AckPolicy.NONE, inactive_threshold=60))
        subscription, position = await context.pull_subscribe_bind(made.name, stream=STREAM), 0
        while position < min(len(stored), state.messages):
            for message in await subscription.fetch(PIECE, timeout=20):
                event = stored[position]
                position += 1
                subject, headers = cloud_event(event)
                sent = {name: (message.headers or {}).get(name) for name in headers}
                same = (message.subject, message.data, sent) == (subject, event.data, headers)
                verdict.expect(same, f"message {position} of the stream is not event {position}: {sent}")
    finally:
        await leave(client)


async def check_read_models(verdict: Verdict, system: System, stored: Sequence[Stored]) -> None:
    """They are what plain SQL makes of the events, and what a rebuild makes; nothing is promised twice."""
    connection = await postgres.connect(system.postgres.url)
    try:
        events = [decode_event(event.data) for event in stored]
        hours = await table(connection)
        verdict.expect(hours == await oracle(connection, events), "the hours are not what the events say")
        verdict.expect(await bound_rows(connection) == bound(events), "the roles are not what the events say")
        promised = [row for row in hours if any(count < 0 for count in row[-6:])]  # type: ignore[operator]
        verdict.expect(not promised, f"{len(promised)} hours are promised more than they have: {promised[:3]}")
        parked = await connection.fetchval("SELECT count(*) FROM generation WHERE parked_position IS NOT NULL")
        verdict.expect(parked == 0, "an event is parked")
    finally:
        await connection.close()
    rebuilt = await rebuild(as_role(system.postgres.url, "projector"))
    verdict.expect(rebuilt.differences == [], f"a rebuild makes other read models: {rebuilt.differences}")


async def check_seal(verdict: Verdict, system: System, kept: str, key: str) -> None:
    report = await verify(as_role(system.postgres.url, "projector"), [TrustedCheckpoint("kept early", kept)], [key])
    verdict.wrong += [f"audit verify: {words}" for words in report.wrong]
    different = [model.model for model in report.models if model.different]
    verdict.expect(report.holds and not different, f"audit verify does not hold: {different}")
    verdict.expect(report.sealed == verdict.events, f"sealed are {report.sealed} of {verdict.events} events")
