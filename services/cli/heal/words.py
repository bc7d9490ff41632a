"""What `hourbook heal` says: what it has found, and what to do next. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from services.cli.heal.checkpoints import Side
from services.cli.heal.comparing import SHOWN_MAX, Case, Compared, Difference
from services.cli.heal.examine import Findings, Judged
from services.cli.heal.lost import LostEvents
from shared.event_store import Stored
from shared.events import TermBegan, decode_envelope

PAGE = "docs/healing.md"
COUNTED_MAX = 12
GONE = "--other-primary-is-gone"


def report(found: Findings) -> list[str]:
    """The lines for all that was found, and the next step."""
    compared = found.compared
    lines = [
        f"store    ends at {compared.ends.store:,}",
        f"stream   ends at {compared.ends.stream:,}",
        f"compared {compared.ends.common:,} positions, byte for byte",
        "",
        *_changed(compared),
    ]
    if found.fork is not None:
        lines += _forked(found)
    elif found.lost is not None and not found.beginning:
        lines += _lost(found, found.lost)
    elif found.beginning:
        lines.append("A term is beginning: its TermBegan is on the stream, and comes into the store in a moment.")
    elif compared.case in (Case.SAME, Case.STREAM_BEHIND):
        lines += _same(compared)
    return [*lines, *_checkpoints(found), *_term(found)]


def _same(compared: Compared) -> list[str]:
    behind = compared.ends.store - compared.ends.stream
    lines = []
    if compared.missing:
        lines.append(
            f"{_messages(compared.missing)} not in the stream any more. The others are right. To have all again, "
            f'remove the stream: see {PAGE}, "A message was changed".'
        )
    if behind:
        lines.append(
            f"The stream has not got the last {_events(behind)} yet. A command service that reaches NATS publishes "
            "them by itself. There is nothing to heal."
        )
    return lines or ["Both are the same. There is nothing to heal."]


def _changed(compared: Compared) -> list[str]:
    if not compared.changed:
        return []
    return [
        f"{_messages(compared.changed)} not the store's events, though both go on the same after them:",
        *_shown(compared.examples, compared.changed),
        "Somebody has changed the stream or the store. Next: `hourbook audit verify` says whether the store is whole. "
        f'If it is, remove the stream: it is filled again from the store. See {PAGE}, "A message was changed".',
        "",
    ]


def _shown(examples: Sequence[Difference], count: int) -> list[str]:
    lines = [f"  {one.position:,}  {one.how}" for one in examples]
    return [*lines, f"  … and {count - len(examples):,} more"] if count > len(examples) else lines


def _lost(found: Findings, lost: LostEvents) -> list[str]:
    first, last = found.compared.ends.store + 1, found.compared.ends.stream
    lines = [
        f"The store has lost {_events(last - first + 1)}: positions {first:,} to {last:,}. The stream has them.",
        f"  decided   from {lost.first_at} to {lost.last_at}, by {lost.commands:,} commands",
        f"  types     {_counts(lost.types)}",
        f"  projects  {_counts(lost.projects)}",
    ]
    if lost.keyless:
        lines.append(
            f"  {lost.keyless:,} of them come from an earlier version of Hourbook, which did not say the idempotency "
            "key. A request of theirs that is sent again is not known."
        )
    if refusals := why_not(found, gone=False):
        lines += ["They cannot be given back:", *(f"  {why}" for why in refusals)]
    else:
        lines.append("Next: `hourbook heal --apply` appends them at the same positions, byte for byte.")
    return lines


def why_not(found: Findings, *, gone: bool) -> list[str]:
    """Why the lost events may not be appended; empty: they may. `gone`: somebody says that no other primary has
    more."""
    assert found.lost is not None
    why = list(found.lost.problems)
    why += [
        f"the checkpoint in {one.place} was signed over other events: the root at {one.size:,} is another. "
        f'See {PAGE}, "Another history was signed"'
        for one in found.contradicted
    ]
    if found.compared.changed and found.covered < found.compared.ends.stream:
        why.append("messages before them were changed, and no signed checkpoint covers all of them")
    if gone:
        return why
    newest, term = found.lost.newest_term, found.term
    if newest is not None and newest.system == str(term.system) and newest.timeline >= term.timeline:
        why.append(
            f"a primary of timeline {newest.timeline} has begun a term, and this one is of timeline {term.timeline}: "
            f"it may be an old primary that was left behind. Heal the newest one. If it is gone for good, say {GONE}"
        )
    if found.ahead:
        size = max(one.size for one in found.ahead)
        why.append(
            f"a checkpoint of {size:,} events was signed: {_events(size - found.compared.ends.stream)} more than the "
            f"stream has. The old primary may have them on its disk. If it is gone for good, say {GONE}"
        )
    return why


def _forked(found: Findings) -> list[str]:
    compared, fork = found.compared, found.fork
    assert fork is not None
    of_store, of_stream = compared.ends.store - compared.same, compared.ends.stream - compared.same
    lines = [
        f"The store and the stream have gone on differently after position {compared.same:,}.",
        f"The store has {_events(of_store)} of its own, the stream {_events(of_stream)}. All of them may have been "
        "acknowledged to somebody.",
    ]
    if fork.also_in_store:
        lines.append(
            f"{_events(fork.also_in_store)} of the stream have a command that the store has at another position."
        )
    lines += [f"The store has (the first {SHOWN_MAX}):", *map(described, fork.store)]
    lines += [f"The stream has (the first {SHOWN_MAX}):", *map(described, fork.stream)]
    if any(event.type == TermBegan.__name__ for event in fork.stream):
        lines.append(
            "Another primary has begun a term there: this database may be an old primary that was left behind."
        )
    lines += [_supported(found.judged, side) for side in (Side.STORE, Side.STREAM)]
    lines.append(
        "Nothing is changed, also with --apply. Next: decide which history holds, as "
        f'{PAGE}, "The store has gone on otherwise", says. `hourbook heal --export FILE` writes what only the stream '
        "has."
    )
    return lines


def _supported(judged: Iterable[Judged], side: Side) -> str:
    sizes = [one.signed.size for one in judged if one.side is side]
    if not sizes:
        return f"No signed checkpoint beyond it supports {side.value}."
    return f"{len(sizes):,} signed checkpoints support {side.value}, the largest is of {max(sizes):,} events."


def described(event: Stored) -> str:
    """An event in one line."""
    try:
        said = decode_envelope(event.data)
    except msgspec.DecodeError:
        return f"  {event.position:,}  {event.type}  {event.stream}  its bytes are no event"
    return f"  {event.position:,}  {said.at}  {event.type}  {event.stream}  by {said.actor}  command {said.command}"


def _checkpoints(found: Findings) -> list[str]:
    lines = []
    if found.lost is not None and not found.beginning:
        bare = found.compared.ends.stream - max(found.covered, found.compared.ends.store)
        lines.append(
            "Signed checkpoints prove all of them."
            if not bare
            else f"No signed checkpoint covers the last {_events(bare)}: nothing proves that they are right."
        )
    elif found.fork is None:
        lines += [
            f"The checkpoint in {one.place} was signed over another history. `hourbook audit verify` says more; see "
            f'{PAGE}, "Another history was signed".'
            for one in found.contradicted
        ]
        lines += [
            f"The checkpoint in {one.place} was signed over {one.size:,} events. Neither the store nor the stream has "
            f'so many, and the sealer signs nothing. See {PAGE}, "Another history was signed".'
            for one in found.ahead
        ]
    return [*lines, *found.unopened]


def _term(found: Findings) -> list[str]:
    if found.term.begun or found.beginning:
        return []
    return [
        "The term of this primary of PostgreSQL has not begun, so nothing is accepted. When the store has all that the "
        "stream has, a command service that reaches NATS begins it by itself."
    ]


def _counts(counted: Counter[str]) -> str:
    most = counted.most_common(COUNTED_MAX)
    rest = len(counted) - len(most)
    return ", ".join(f"{count:,} {name}" for name, count in most) + (f" and {rest:,} others" if rest else "")


def _events(count: int) -> str:
    return f"{count:,} event{'s' * (count != 1)}"


def _messages(count: int) -> str:
    return "1 message is" if count == 1 else f"{count:,} messages are"
