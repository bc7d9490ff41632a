"""The report of a run, as a person reads it."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator

from tests.torture.run import Outcome

MENDED_S = 2.0  # a silence that begins later than this after a fault is mended is not its doing


def lines(outcome: Outcome) -> Iterator[str]:
    verdict, record = outcome.verdict, outcome.record
    yield f"{len(outcome.done)} faults in {outcome.seconds:.0f} s; the longest silence of commands that began in each:"
    yield f"  {'fault':<24} {'times':>5} {'p50 s':>7} {'max s':>7}"
    silences: dict[str, list[float]] = defaultdict(list)
    for fault in outcome.done:
        silences[fault.kind].append(record.longest_gap(fault.since, fault.until + MENDED_S))
    for kind, gaps in sorted(silences.items()):
        yield f"  {kind:<24} {len(gaps):>5} {statistics.median(gaps):>7.1f} {max(gaps):>7.1f}"
    yield "answers:"
    yield from (f"  {count:>7} {kind}" for kind, count in sorted(record.statuses.items()))
    yield (
        f"{verdict.events} events, {verdict.acknowledged} commands acknowledged, {verdict.lost} lost, "
        f"{verdict.doubled} doubled, {verdict.terms} terms begun"
    )
    for place in outcome.places:
        yield f"  {place.name:<20} {place.position:>7} told, {place.repeated:>4} again"
    for words in verdict.wrong:
        yield f"WRONG: {words}"
    yield "everything holds" if not verdict.wrong else f"{len(verdict.wrong)} things are wrong"
