"""Signed checkpoints of the history, and proofs that lead up to them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.params import QueryParameter

from services.query.documents import service
from services.query.routes.answering import FRESH
from services.query.routes.forms import TEXT, in_json, only
from services.query.routes.needs import ANYBODY, on_found, require_found, visit_of
from services.query.routes.parts import AnyRequest, parts_of
from services.query.routes.reads import read
from services.query.views.audit import read_checkpoint, read_consistency, read_inclusion, read_public_keys
from services.query.views.history import read_event
from services.query.views.lines import head_of
from shared.errors import InvalidField, UnknownId
from shared.event_store import POSITION_MAX
from shared.http.responses import EncodedResponse
from shared.identity.roles import Right

FOREVER = "private, max-age=31536000, immutable"

Size = Annotated[
    int | None,
    QueryParameter(
        ge=1, le=POSITION_MAX, description="The size of the tree: a number of events. The default is the latest size."
    ),
]
Position = Annotated[
    int | None, QueryParameter(ge=1, le=POSITION_MAX, description="The position of the event. It must be given.")
]
FromSize = Annotated[
    int | None,
    QueryParameter(
        name="from", ge=1, le=POSITION_MAX, description="The size of the earlier tree, in events. It must be given."
    ),
]
ToSize = Annotated[
    int | None,
    QueryParameter(
        name="to",
        ge=1,
        le=POSITION_MAX,
        description="The size of the later tree, in events. The default is the latest size.",
    ),
]


class Audit(Controller):
    """The Merkle tree over the stored events (RFC 6962). Hashes are SHA-256 in base64, as in a checkpoint."""

    path = "/audit"

    @read("/checkpoint", "Signed checkpoint of the history", only(TEXT), ANYBODY)
    async def checkpoint(self, request: AnyRequest, size: Size = None) -> EncodedResponse[str]:
        """A signed note (C2SP tlog-checkpoint) as text: the origin, the number of events, the root hash over them, and
        the signature. With `size`: the checkpoint of exactly that many events, if one was signed."""
        found = await read_checkpoint(parts_of(request).database, size)
        return text_response(found.note) if size is None else text_response(found.note, FOREVER)

    @read("/key", "Public keys of the checkpoints", only(TEXT), ANYBODY)
    async def key(self, request: AnyRequest) -> EncodedResponse[str]:
        """The public key that signs now, as `NAME+KEYID+KEY` (C2SP signed-note), and on further lines the keys that
        signed before. Get the key from another source as well: a server that lies about the history can lie about its
        key."""
        keys = await read_public_keys(parts_of(request).database)
        return text_response("".join(f"{key}\n" for key in keys))

    @read(
        "/inclusion",
        "Proof that an event is in the history",
        in_json(service.Inclusion),
        on_found(Right.NAMES, "the pool of the event"),
    )
    async def inclusion(
        self, request: AnyRequest, position: Position = None, size: Size = None
    ) -> EncodedResponse[bytes]:
        """`{position, index, size, leaf, root, proof, checkpoint}`: the event at `position` is leaf number `index`
        (from 0) of the tree of `size` events with this root.

        `leaf` is SHA-256 of a zero byte and the stored bytes of the event; compute it yourself. `checkpoint` is the
        signed note of this size, null when none was signed. Whoever may not read the event gets no proof of it."""
        if position is None:
            raise InvalidField("position", "give the position of an event")
        await check_event(request, position)
        proof = await read_inclusion(parts_of(request).database, position, size)
        return proof_response(proof["size"], proof)

    @read("/consistency", "Proof that the history was only added to", in_json(service.Consistency), ANYBODY)
    async def consistency(
        self, request: AnyRequest, first: FromSize = None, second: ToSize = None
    ) -> EncodedResponse[bytes]:
        """`{from, to, from_root, to_root, proof, checkpoint}`: the first `from` events of the tree of `to` events are
        the tree of `from` events, in the same order.

        `checkpoint` is the signed note of size `to`, null when none was signed."""
        if first is None:
            raise InvalidField("from", "give the size of the earlier checkpoint")
        if second is not None and second < first:
            raise InvalidField("to", f"it is less than from, which is {first}")
        proof = await read_consistency(parts_of(request).database, first, second)
        return proof_response(proof["to"], proof)


def text_response(body: str, keep: str = FRESH["Cache-Control"]) -> EncodedResponse[str]:
    return EncodedResponse(body.encode(), media_type=TEXT, headers={"Cache-Control": keep})


def proof_response(size: int, answer: dict[str, Any]) -> EncodedResponse[bytes]:
    return EncodedResponse(msgspec.json.encode(answer), headers={"Hourbook-Position": str(size), **FRESH})


async def check_event(request: AnyRequest, position: int) -> None:
    """Raises UnknownId for an event that the principal may not read. An auditor of the ledger may ask for any position,
    and is told how many events are sealed."""
    visit = visit_of(request)
    if visit is None or visit.rights.has_on_ledger(visit.right, visit.principal):
        await require_found(request, None, UnknownId("position", "event", str(position)))
        return
    history = await read_event(parts_of(request).database, position)
    pool = head_of(history.events[0].event).where
    await require_found(request, pool, UnknownId("position", "event", str(position)))
