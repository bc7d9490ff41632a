"""What an account holds at an instant."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from services.query.documents.parts import AllAmounts, Instant, PoolId, Position, State, Uuid


class HeldBooking(Struct):
    """A booking, or the part of an amended one, that counts in the hour."""

    id: Uuid
    start: Instant
    end: Instant
    share: Annotated[int, Meta(ge=0, le=10_000, description="The share of the cluster in basis points; 0: counts.")]
    state: State


class Entitlement(AllAmounts, kw_only=True):
    """What the account holds of one pool."""

    pool: PoolId
    project: Annotated[str, Meta(description="The id of the project of the pool.")]
    until: Annotated[Instant, Meta(description="When the amounts of this pool change next, as far as it is known.")]
    bookings: list[HeldBooking]


class AccountEntitlements(Struct):
    """What an account holds in an hour, by pool."""

    account: str
    at: Annotated[Instant, Meta(description="The start of the hour.")]
    position: Position
    until: Annotated[
        Instant | None,
        Meta(description="When an amount changes next, as far as it is known now, also from nothing; null: never."),
    ]
    entitlements: Annotated[list[Entitlement], Meta(description="By pool, of each of which it holds something.")]
