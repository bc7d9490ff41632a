"""Why a command gets no answer of its own: the queue is full, the store is away, or its key belongs to another one."""

from __future__ import annotations

from typing import Self

from shared.errors import HourbookError, words_of


class QueueFull(HourbookError):
    """More commands wait than this service lets wait. Try again in a second."""

    code = "queue_full"
    status = 503
    title = "Too many commands are waiting"


class StoreUnavailable(HourbookError):
    """The event store could not be reached in time. It is not known whether the command was carried out. Send it again
    with the same Idempotency-Key: then it is carried out once."""

    code = "store_unavailable"
    status = 503
    title = "The event store cannot be reached"


class NotOnStream(HourbookError):
    """The command was stored, but the event stream has not got its events in time. Send it again with the same
    Idempotency-Key: it is not carried out twice, and its answer comes when the stream has them."""

    code = "not_on_stream"
    status = 503
    title = "The command is stored, and not on the stream yet"


class StoreFull(HourbookError):
    """The event store has no disc or memory left. The command was not carried out. Send it again later, with the same
    Idempotency-Key if you have one."""

    code = "store_full"
    status = 503
    title = "The event store has no room"

    @classmethod
    def because(cls, error: Exception) -> Self:
        """The error that PostgreSQL answered, one of NO_ROOM."""
        return cls(f"the event store has no room: {words_of(error)}; nothing was done: retry later")


class KeyReused(HourbookError):
    """This Idempotency-Key was sent before, with another request. Take a new key."""

    code = "idempotency_key_reused"
    status = 409
    title = "The Idempotency-Key belongs to another request"

    def __init__(self) -> None:
        super().__init__("Idempotency-Key: it was sent before with another request; take a new key for this one")
