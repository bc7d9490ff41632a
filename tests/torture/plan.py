"""The plan of a run: which part is broken when, how, and for how long. The same seed draws the same plan."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

FIRST_S = 3.0  # the first seconds without a fault
BETWEEN_S = 1.5  # on average, from one fault to the next
SECONDS = {
    "kill": (0.0, 3.0),
    "pause": (1.0, 20.0),
    "cut": (0.5, 12.0),
    "silence": (1.0, 20.0),
    "standby": (0.0, 4.0),
    "apart": (0.5, 4.0),
}
AT_ONCE_MAX = 3
REST_S = 6.0  # after a fault, before the same part is broken again


class Fault(NamedTuple):
    """`at` and `seconds` count from the start of the run. `part` and `way` as in faults.py."""

    at: float
    part: str
    way: str
    seconds: float

    @property
    def until(self) -> float:
        return self.at + self.seconds


def draw(seed: int, seconds: float, parts: Mapping[str, Sequence[str]], weights: Mapping[str, float]) -> list[Fault]:
    """The faults of a run. `parts` has the ways in which each part can be broken; `weights` how often, 1 by default."""
    chance, faults, at = random.Random(seed), list[Fault](), FIRST_S
    names = sorted(parts)
    while True:
        at += chance.expovariate(1 / BETWEEN_S)
        part = chance.choices(names, [weights.get(name, 1.0) for name in names])[0]
        way = chance.choice(sorted(parts[part]))
        least, most = SECONDS[way]
        fault = Fault(at, part, way, least + (most - least) * chance.random() ** 2)
        if fault.until > seconds:
            if at > seconds:
                return faults
            continue
        going = [other for other in faults if other.until > at]
        resting = any(other.part == part and other.until + REST_S > at for other in faults[-50:])
        if len(going) < AT_ONCE_MAX and not resting:
            faults.append(fault)
