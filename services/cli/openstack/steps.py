"""The steps of an import: the HTTP calls to Hourbook, in order, and what they change."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from shared.capacity import DIMENSIONS, Capacity
from shared.hours import Period, iso


class Call(NamedTuple):
    """A POST. `key` is its Idempotency-Key. A call without a key is safe to repeat as it is."""

    path: str
    body: dict[str, Any]
    key: str | None = None


class Step(NamedTuple):
    """The calls that bring one thing to its desired state.

    `outcome`: "created", "changed", or "there" when no call is needed. `what` names the thing, `how` describes the
    change. `checks` are sent first, as dry runs: when one is refused, no call is sent. When a call is refused, the
    grants that earlier calls of the step created are withdrawn. `fallback` replaces a call that was refused because
    capacity is missing; `hint` is shown to the user when that is refused too.
    """

    outcome: str
    what: str
    how: str
    calls: tuple[Call, ...] = ()
    checks: tuple[Call, ...] = ()
    fallback: Call | None = None
    hint: str = ""


def idempotency_key(*parts: Any) -> str:
    """A short key, equal for equal parts."""
    return "openstack:" + blake2b(msgspec.json.encode(parts), digest_size=20).hexdigest()


def count_fields(capacity: Capacity) -> dict[str, int]:
    """The fields of a request's body for a capacity: those that are not 0."""
    return {name: count for name, count in zip(DIMENSIONS, capacity.counts(), strict=True) if count}


def period_fields(period: Period) -> dict[str, str]:
    """The fields of a request's body for a period."""
    return {"startdate": iso(period.start), "enddate": iso(period.end)}
