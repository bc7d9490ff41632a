"""What a booking takes, from the options; and how capacities are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from services.cli.failure import WrongUse
from services.cli.people.options import Amount

DIMENSIONS = ("servers", "cores", "memory", "tempdisc", "userdisc", "datadisc")
MEMORY = re.compile(r"(\d+) ?(m|mib|mb|g|gib|gb|t|tib|tb)?")
MIB = {"m": 1, "g": 1024, "t": 1024 * 1024}
UNITS = {"memory": "MiB memory", "tempdisc": "GiB tempdisc", "userdisc": "GiB userdisc", "datadisc": "GiB datadisc"}
SHARE_UNIT = 100  # basis points of a percent


def fields_of(amount: Amount) -> dict[str, Any]:
    """The fields of a request. Raises WrongUse for a mixture."""
    counts = counts_of(amount)
    given = (("counts", counts), ("--template", amount.template), ("--share", amount.share))
    kinds = [kind for kind, is_given in given if is_given]
    if amount.count is not None and not amount.template:
        raise WrongUse("--count: it says how many times a --template; give one")
    if len(kinds) > 1 and not (amount.share == "100%" and not amount.template):
        raise WrongUse(f"{' and '.join(kinds)}: give one of them")
    if amount.template:
        name, _, version = amount.template.partition("@")
        if version and not version.isdecimal():
            raise WrongUse(f"--template: {amount.template!r} is no template: write small, or small@2 for version 2")
        chosen = {"template": name, "template_version": int(version) if version else None, "count": amount.count}
        return {field: value for field, value in chosen.items() if value is not None}
    return counts | ({"share": amount.share} if amount.share else {})


def needed_fields(amount: Amount) -> dict[str, Any]:
    """The fields of a request that must ask for something. Raises WrongUse."""
    fields = fields_of(amount)
    if not fields:
        raise WrongUse('--cores: say how much, such as --cores 32, "--template small --count 4" or --share 20%')
    return fields


def counts_of(amount: Amount) -> dict[str, int]:
    """The counts that are given. Raises WrongUse."""
    counts = {name: getattr(amount, name) for name in DIMENSIONS if name != "memory"}
    counts["memory"] = None if amount.memory is None else mib_of(amount.memory)
    given = {name: number for name, number in counts.items() if number is not None}
    if wrong := [name for name, number in given.items() if number < 0]:
        raise WrongUse(f"--{wrong[0]}: {given[wrong[0]]} is less than 0")
    return {name: given[name] for name in DIMENSIONS if name in given}


def mib_of(text: str) -> int:
    """Memory in MiB: `65536`, `64G`, `1T`. Raises WrongUse."""
    match = MEMORY.fullmatch(text.strip().lower())
    if match is None:
        raise WrongUse(f"--memory: {text!r} is no amount of memory: write 65536 (MiB), 64G or 1T")
    return int(match[1]) * MIB[(match[2] or "m")[0]]


def in_words(capacity: Mapping[str, Any], share: int = 0) -> str:
    """A capacity for people: `32 cores, 64 GiB memory`. `share` is in basis points."""
    parts = [counted(capacity[name], name) for name in DIMENSIONS if capacity.get(name)]
    return ", ".join([*parts, *([f"{percent(share)} of the cluster"] if share else [])]) or "nothing"


def of_pool(words: str, pool: str) -> str:
    """Whose capacity it is: `32 cores of gaia`; a share of a cluster is `20% of gaia.hub`."""
    return f"{words.removesuffix(' of the cluster')} of {pool}"


def counted(number: int, dimension: str) -> str:
    """`32 cores`, `64 GiB memory`."""
    if dimension == "memory" and number and number % 1024 == 0:
        return f"{number // 1024} GiB memory"
    return f"{number} {UNITS.get(dimension, dimension)}"


def percent(share: int) -> str:
    return f"{share / SHARE_UNIT:g}%"
