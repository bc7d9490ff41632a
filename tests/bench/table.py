"""The table of the bench: its rows, how figures of several runs are written, and its place in the README."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

COLUMNS = ("what", "driven by", "measured", "compared with", "ratio", "before", "aim")
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
README = Path(__file__).parents[2] / "README.md"


class Row(msgspec.Struct, kw_only=True):
    """A line of the table. `by` drove it. `beside` is something comparable that was measured in the same run, `ratio`
    compares the two, `before` is what an earlier version reached on such a machine."""

    what: str
    measured: str
    by: str = ""
    beside: str = ""
    ratio: str = ""
    before: str = ""
    aim: str = ""

    def line(self) -> str:
        cells = (self.what, self.by, self.measured, self.beside, self.ratio, self.before, self.aim)
        return f"| {' | '.join(cells)} |"


def head() -> str:
    return f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def spread(values: Sequence[float], form: str = ",.0f", unit: str = "") -> str:
    """The median, and after it the least and the greatest of several runs: `5,088/s (4,901–5,300)`."""
    middle, low, high = (format(value, form) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle}{unit}" + (f" ({low}–{high})" if len(values) > 1 else "")


def ratios(ones: Sequence[float], others: Sequence[float], form: str = ".2f") -> str:
    """The spread of the quotients of what was measured in the same round."""
    return spread([one / other for one, other in zip(ones, others, strict=True)], form)


def median_between(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, and the two values between which the true median lies with 95%, whatever the distribution is: by the
    binomial distribution of how many values are below it."""
    ordered, count = sorted(values), len(values)
    below, outside = 0.0, 0
    while outside < (count - 1) // 2 and below + math.comb(count, outside) / 2**count <= 0.025:
        below += math.comb(count, outside) / 2**count
        outside += 1
    first = max(0, outside - 1)
    return statistics.median(ordered), ordered[first], ordered[count - 1 - first]


def put_into_readme(text: str, readme: Path = README) -> None:
    """Replaces what stands between the marks of the bench."""
    before, _, rest = readme.read_text().partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise RuntimeError(f"{readme} has no {BEGIN} with {END} after it")
    readme.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}")
