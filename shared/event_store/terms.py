"""Terms: who takes the events, and since when. Each primary of PostgreSQL has a term of its own.

A promotion or a restore gives PostgreSQL another timeline. Then nothing is appended until its term begins. It begins
with the event TermBegan, which goes to the stream first. So a relay of an older primary, which expects that place for
an event of its own, can never publish again. It is what Raft does with the first entry of a term.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from shared.event_store.store import Stored
from shared.events import TermBegan, encode_event
from shared.ids import new_id
from shared.postgres import Connection

LEDGER = "_ledger"  # the stream of the events that belong to no project; no project can have this name
ACTOR = "hourbook"


class Term(NamedTuple):
    """The term of a store, and the primary of PostgreSQL that has it open.

    `term` is the id of the store's term. `begun`: it is the term of this primary, and events are appended. `claim` is
    the command id of the TermBegan that somebody was about to publish when this was read. `system` is PostgreSQL's
    system identifier and `timeline` its timeline, both of this primary. `version` is that of the stream `_ledger`.
    """

    term: UUID
    begun: bool
    claim: UUID | None
    system: int
    timeline: int
    version: int


TERM = """
SELECT t.term, t.system = s.system_identifier AND t.timeline = current_timeline(), t.claim, s.system_identifier,
    current_timeline(), coalesce((SELECT h.version FROM stream_head h WHERE h.stream = $1), 0)
FROM store_term t, pg_control_system() s
"""


async def read_term(connection: Connection) -> Term:
    """Raises asyncpg's errors; ReadOnlySQLTransactionError or ObjectNotInPrerequisiteStateError on a standby."""
    record = await connection.fetchrow(TERM, LEDGER)
    assert record is not None
    return Term(*record)


async def claim_term(connection: Connection, command: UUID) -> UUID:
    """Stores that the TermBegan of this command is about to be published, unless this primary has claimed one before.
    Returns the command of the claim: the earlier TermBegan may still arrive, and only one of them is taken."""
    claim = await connection.fetchval("SELECT claim_term($1)", command)
    assert isinstance(claim, UUID)
    return claim


BEGIN = "SELECT begin_term($1, $2, $3, $4, $5, $6)"


async def begin_term(connection: Connection, event: Stored) -> bool:
    """Appends a claimed TermBegan, which the stream has, and begins its term. False: the store's head is not the event
    before it, or the claim is another; then nothing was changed."""
    head, kind = event.position - 1, event.type
    begun = await connection.fetchval(BEGIN, head, event.stream, event.version, event.command_id, kind, event.data)
    return bool(begun)


async def claimed_event(connection: Connection, term: Term, head: int) -> Stored:
    """The TermBegan of this primary after position `head`, which is claimed now. It is to be published, and then
    given to `begin_term`."""
    command = await claim_term(connection, new_id())
    system, now = str(term.system), datetime.now(UTC)
    event = TermBegan(at=now, actor=ACTOR, command=command, project=LEDGER, system=system, timeline=term.timeline)
    return term_event(term, event, head)


def term_event(term: Term, event: TermBegan, head: int) -> Stored:
    """The TermBegan as it is stored after position `head`."""
    data = encode_event(event)
    return Stored(head + 1, LEDGER, term.version + 1, event.command, None, b"", TermBegan.__name__, data, 0)
