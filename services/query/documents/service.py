"""Credentials, people, webhooks, proofs, and the health of the service."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from services.query.documents.catalogue import Limit
from services.query.documents.parts import Instant, Next, Position, Uuid


class TokenOfList(Struct):
    """A token, without the token itself. `maker` is null for one that the operator made."""

    id: Uuid
    name: str
    maker: str | None
    limits: list[Limit]
    created: Instant
    expires: Instant
    revoked: Instant | None


class TokenPage(Struct):
    """A page of tokens, in the order in which they were made."""

    tokens: list[TokenOfList]
    next: Next


class FeedAddress(Struct):
    """The address of a feed, without its key."""

    id: Uuid
    path: str
    maker: str
    created: Instant


class FeedAddresses(Struct):
    """A page of feed addresses, in the order in which they were made."""

    feeds: list[FeedAddress]
    next: Next


class Person(Struct):
    """Who is behind an id. Only the admins of the whole ledger see `email`."""

    id: str
    name: str | None
    email: str | UnsetType | None = UNSET


class PersonList(Struct):
    """The people behind some ids."""

    people: list[Person]


class WebhookOfList(Struct):
    """A webhook, and how far it is."""

    id: Uuid
    url: str
    project: str | None
    types: list[str] | None
    notices: list[str] | None
    created_by: str
    created_at: Instant
    position: int
    notice: int
    attempts: int
    failures: int
    retry_at: Instant | None
    delivered_at: Instant | None
    last_error: str | None
    disabled: Annotated[str | None, Meta(description="Why it is disabled; null: it is not.")]
    maker: str | None
    ended: Literal["forbidden", "unproven"] | None
    dead_letters: int


class WebhookList(Struct):
    """Webhooks, ordered by id."""

    webhooks: list[WebhookOfList]


class DeadLetter(Struct):
    """A message that was given up after the last attempt. `number` is its position or its `seq`."""

    message: str
    source: Literal["event", "notice"]
    number: int
    attempts: int
    error: str
    failed_at: Instant
    redeliver: bool


class DeadLetterPage(Struct):
    """A page of dead letters, ordered by message id."""

    dead_letters: list[DeadLetter]
    next: Next


Hash = Annotated[str, Meta(description="SHA-256, in base64.", extra_json_schema={"contentEncoding": "base64"})]
Note = Annotated[str | None, Meta(description="The signed note of this size; null when none was signed.")]


class Inclusion(Struct):
    """The event at `position` is leaf number `index` of the tree of `size` events with this root."""

    position: int
    index: int
    size: int
    leaf: Hash
    root: Hash
    proof: list[Hash]
    checkpoint: Note


class Consistency(Struct, rename={"first": "from", "second": "to"}):
    """The first `from` events of the tree of `to` events are the tree of `from` events."""

    first: int
    second: int
    from_root: Hash
    to_root: Hash
    proof: list[Hash]
    checkpoint: Note


class QueryHealth(Struct):
    """The health of the query service. Where a standby is read, it says how far that is behind."""

    status: Literal["ok"]
    position: Position
    head: Annotated[int, Meta(description="The position of the last stored event.")]
    standby_behind_seconds: float | UnsetType = UNSET
    primary_unasked_seconds: float | UnsetType = UNSET


class EventSchemas(Struct):
    """Where the JSON Schema of each event type is."""

    schemas: dict[str, str]
