"""What an import does at Hourbook: the calls to make, in order, and what they come to."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from shared.capacity import DIMENSIONS, Capacity
from shared.hours import Period, iso


class Call(NamedTuple):
    """A POST. `key` is its Idempotency-Key; a call without one is safe to repeat as it is."""

    path: str
    body: dict[str, Any]
    key: str | None = None


class Step(NamedTuple):
    """One thing to make so. `outcome`: created, changed or there, which needs no call.

    `guards` are dry runs that must be accepted before anything is done. When a later call is refused, what the earlier
    ones of the step granted is withdrawn again. When there is not enough capacity, `otherwise` is what to do instead of
    the only call, and `hint` says what may be done when that is refused too.
    """

    outcome: str
    what: str
    how: str
    calls: tuple[Call, ...] = ()
    checks: tuple[Call, ...] = ()
    fallback: Call | None = None
    hint: str = ""


def idempotency_key(*parts: Any) -> str:
    """The same for the same parts, and short."""
    return "openstack:" + blake2b(msgspec.json.encode(parts), digest_size=20).hexdigest()


def count_fields(capacity: Capacity) -> dict[str, int]:
    return {name: count for name, count in zip(DIMENSIONS, capacity.counts(), strict=True) if count}


def period_fields(period: Period) -> dict[str, str]:
    return {"startdate": iso(period.start), "enddate": iso(period.end)}
