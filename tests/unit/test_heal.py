"""How `hourbook heal` judges what the store and the stream have, on events and messages in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID, uuid4

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.js.api import RawStreamMsg

from services.cli.heal.checkpoints import Note, Roots, Side, Signed, opened, side_of
from services.cli.heal.comparing import Case, Compared, Comparer, Ends
from services.cli.heal.lost import End, Known, LostEvents, ids_of
from shared.audit.merkle import Tree, hash_leaves
from shared.audit.notes import Signer
from shared.event_store import Stored
from shared.events import AccountCreated, encode_event
from shared.jetstream import cloud_event
from shared.stream_messages import LATER, Leaf, difference

AT = datetime(2085, 3, 1, tzinfo=UTC)
SIGNER = Signer("hourbook", Ed25519PrivateKey.from_private_bytes(bytes(32)))


def event_at(position: int, command: UUID | None = None, ordinal: int = 0, name: str = "Ada") -> Stored:
    command = command or UUID(int=position)
    event = AccountCreated(at=AT, actor="ada", command=command, project="gaia", account=f"a{position}", name=name)
    return Stored(
        position,
        "gaia",
        position,
        command,
        UUID(int=position << 64),
        b"hash",
        "AccountCreated",
        encode_event(event),
        ordinal,
    )


def message_of(event: Stored, *without: str) -> RawStreamMsg:
    subject, headers = cloud_event(event)
    kept = {name: value for name, value in headers.items() if name not in without}
    return RawStreamMsg(subject, event.position, event.data, headers=kept)


def leaf_of(event: Stored) -> Leaf:
    values = msgspec.structs.asdict(event)
    return Leaf(*(sha256(b"\0" + event.data).digest() if name == "data" else values[name] for name in values))


def compared(store: Sequence[Stored], stream: Sequence[Stored | None]) -> Compared:
    comparer = Comparer(Ends(len(store), len(stream)))
    common = min(len(store), len(stream))
    messages = [message_of(event) if event else None for event in stream[:common]]
    comparer.take([leaf_of(event) for event in store[:common]], messages)
    return comparer.compared()


EVENTS = [event_at(position) for position in range(1, 11)]
OTHERS = [event_at(position, name="Grace") for position in range(1, 11)]


@pytest.mark.parametrize(
    ("store", "stream", "case"),
    [
        ([], [], Case.SAME),
        (EVENTS, EVENTS, Case.SAME),
        (EVENTS, [], Case.STREAM_BEHIND),
        (EVENTS, EVENTS[:4], Case.STREAM_BEHIND),
        (EVENTS, [None, *EVENTS[1:]], Case.STREAM_BEHIND),
        ([], EVENTS, Case.LOST),
        (EVENTS[:4], EVENTS, Case.LOST),
        (EVENTS, [*EVENTS[:4], *OTHERS[4:]], Case.FORKED),
        (EVENTS[:5], [*EVENTS[:4], *OTHERS[4:]], Case.FORKED),
        (EVENTS, OTHERS, Case.FORKED),
        (EVENTS, [*EVENTS[:4], OTHERS[4], *EVENTS[5:]], Case.CHANGED),
    ],
    ids=str,
)
def test_what_both_have_says_which_case_it_is(store: list[Stored], stream: list[Stored | None], case: Case) -> None:
    assert compared(store, stream).case is case


def test_a_fork_begins_after_the_last_position_that_is_the_same_and_what_differs_before_was_changed() -> None:
    found = compared(EVENTS, [OTHERS[0], *EVENTS[1:6], *OTHERS[6:9]])
    assert (found.same, found.forked, found.changed) == (6, 3, 1)
    assert [one.position for one in found.fork_examples] == [7, 8, 9]
    assert [one.position for one in found.examples] == [1]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"stream": "other"}, "subject"),
        ({"version": 9}, "ce-streamversion"),
        ({"ordinal": 3}, "ce-ordinal"),
        ({"request_id": None}, "ce-requestid"),
        ({"request_hash": b"other"}, "ce-requesthash"),
    ],
)
def test_what_a_message_says_beside_its_bytes_is_compared_too(changed: dict[str, object], words: str) -> None:
    event = EVENTS[2]
    assert difference(leaf_of(event), message_of(event)) is None
    assert words in (difference(leaf_of(event), message_of(msgspec.structs.replace(event, **changed))) or "")


def test_a_message_of_an_earlier_version_does_not_say_all_and_is_the_same() -> None:
    assert difference(leaf_of(EVENTS[2]), message_of(EVENTS[2], *LATER)) is None


def taken(
    events: Sequence[Stored], *without: str, end: End | None = None, **known: object
) -> tuple[LostEvents, list[Stored]]:
    lost = LostEvents(end or End(0, None, 0))
    facts = {"versions": {}, "commands": frozenset(), "requests": frozenset(), **known}
    return lost, lost.take([message_of(event, *without) for event in events], Known(**facts))  # type: ignore[arg-type]


def test_lost_events_are_read_as_they_were_stored_and_counted() -> None:
    lost, events = taken(EVENTS)
    assert (events, lost.problems, lost.keyless, lost.commands) == (EVENTS, [], 0, 10)
    assert (lost.types, lost.projects) == ({"AccountCreated": 10}, {"gaia": 10})


def test_the_place_in_the_command_is_counted_for_messages_of_an_earlier_version() -> None:
    one, two = uuid4(), uuid4()
    commands = [(one, 0), (one, 1), (one, 2), (two, 0)]
    stored = [event_at(n, command, ordinal) for n, (command, ordinal) in enumerate(commands, 1)]
    lost, events = taken(stored, *LATER)
    assert [event.ordinal for event in events] == [0, 1, 2, 0]
    assert {event.request_id for event in events} == {None}
    assert (lost.keyless, lost.problems) == (4, [])


def test_a_command_that_a_killed_run_has_cut_is_gone_on_with() -> None:
    command = uuid4()
    known = {"versions": {"gaia": 2}, "commands": frozenset({command})}
    for without in ((), LATER):
        lost, events = taken([event_at(3, command, 2)], *without, end=End(2, command, 1), **known)
        assert ([event.ordinal for event in events], lost.problems) == ([2], [])


def test_a_command_that_goes_on_in_the_next_batch_is_one_command() -> None:
    """The store has its first events then: they were given back with the batch before."""
    command = uuid4()
    lost, _ = taken([event_at(1), event_at(2, command, 0)])
    message, request = message_of(event_at(3, command, 1)), event_at(2, command).request_id
    lost.take([message], Known({"gaia": 2}, frozenset({command}), frozenset({request} - {None})))
    assert (lost.problems, lost.commands) == ([], 2)


@pytest.mark.parametrize(
    ("event", "known", "words"),
    [
        (event_at(5), {}, "it is version 5 of gaia, after version 0"),
        (event_at(1), {"commands": frozenset({UUID(int=1)})}, "the store has its command"),
        (event_at(1), {"requests": frozenset({UUID(int=1 << 64)})}, "the store has its idempotency key already"),
        (event_at(1, ordinal=4), {}, "it is number 4 of the events of its command"),
        (msgspec.structs.replace(event_at(1), type="Tested"), {}, "its headers say Tested of gaia"),
        (msgspec.structs.replace(event_at(1), data=b'{"type":"Tested"}'), {}, "no event"),
    ],
)
def test_a_message_that_is_no_event_of_its_place_is_a_problem(
    event: Stored, known: dict[str, object], words: str
) -> None:
    lost, _ = taken([event], **known)
    assert words in lost.problems[0]


def test_a_message_that_is_not_there_is_a_problem() -> None:
    lost = LostEvents(End(0, None, 0))
    lost.take([None], Known({}, frozenset(), frozenset()))
    assert lost.problems == ["message 1 is not in the stream any more"]


def test_the_ids_of_messages_are_those_of_the_events() -> None:
    streams, commands, requests = ids_of([message_of(EVENTS[0]), None, RawStreamMsg("other", 2, b"")])
    assert (streams, commands, requests) == (["gaia"], [UUID(int=1)], [UUID(int=1 << 64)])


def root_over(events: Sequence[Stored]) -> bytes:
    tree = Tree()
    tree.extend(hash_leaves(event.data for event in events))
    return tree.root()


def test_roots_are_found_at_each_size_whatever_the_batches_are() -> None:
    sizes = [1, 4, 5, 10]
    for batch in (1, 3, 10):
        roots = Roots(Tree(), sizes)
        for begin in range(0, 10, batch):
            roots.extend(hash_leaves(event.data for event in EVENTS[begin : begin + batch]))
        assert roots.found == {size: root_over(EVENTS[:size]) for size in sizes}


def test_a_checkpoint_supports_the_side_whose_root_it_has() -> None:
    store, stream = {4: b"same", 6: b"store"}, {4: b"same", 6: b"stream", 8: b"more"}
    for size, root, side in (
        (4, b"same", Side.BOTH),
        (6, b"store", Side.STORE),
        (6, b"stream", Side.STREAM),
        (8, b"more", Side.STREAM),
        (8, b"other", Side.NEITHER),
        (9, b"more", Side.UNSEEN),
    ):
        assert side_of(Signed("a file", size, root), store, stream) is side


def test_a_note_without_a_known_signature_is_left_out_and_said() -> None:
    note = Note("a file", SIGNER.sign(4, bytes(32)))
    stranger = Signer("hourbook", Ed25519PrivateKey.from_private_bytes(bytes([1] * 32)))
    assert opened([note], [stranger.verifier, SIGNER.verifier]) == ([Signed("a file", 4, bytes(32))], [])
    signed, wrong = opened([note], [stranger.verifier])
    assert signed == []
    assert wrong[0].startswith("the checkpoint in a file is left out: it is not signed by")
