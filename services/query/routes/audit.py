"""What proves the history, over HTTP: signed checkpoints, and proofs that lead up to them."""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar

import msgspec
from litestar import Controller, get
from litestar.params import QueryParameter

from services.query.database import Database
from services.query.routes.calendars import AnyRequest, refuse_unknown
from shared.audit.merkle import consistency_path, edge, fold_right, inclusion_path, proof
from shared.audit.store import SignedCheckpoint, checkpoint_from, latest_checkpoint, read_keys, read_nodes
from shared.errors import HourbookError, InvalidField, UnknownId
from shared.event_store import POSITION_MAX
from shared.http.responses import Encoded

TEXT = "text/plain"
FOREVER = "private, max-age=31536000, immutable"


class NotSealed(HourbookError):
    """The tree does not reach so far (yet): an event is sealed within a second. `size` is how far it reaches."""

    code = "not_sealed"
    status = 404
    title = "There is no checkpoint of so many events"


Size = Annotated[
    int | None, QueryParameter(ge=1, le=POSITION_MAX, description="Of a tree of this many events; default the latest.")
]


class Audit(Controller):
    """The Merkle tree over the stored events (RFC 6962). Hashes are in base64, as in a checkpoint."""

    path = "/audit"
    database: ClassVar[Database]

    @get("/checkpoint", media_type=TEXT)
    async def checkpoint(self, request: AnyRequest, size: Size = None) -> Encoded[str]:
        """A signed note (C2SP tlog-checkpoint): the origin, how many events, the root over them, the signature. The
        latest one, or the one of just so many events."""
        refuse_unknown(request, frozenset({"size"}))
        if size is None:
            return text((await self._latest()).note)
        found = await checkpoint_from(self.database, size)
        if found is None or found.size != size:
            latest = await self._latest()
            nearest = "" if found is None else f"; the next larger one is of {found.size}"
            raise NotSealed(f"size: no checkpoint was signed of {size} events{nearest}", size=latest.size)
        return text(found.note, FOREVER)

    @get("/key", media_type=TEXT)
    async def key(self, request: AnyRequest) -> Encoded[str]:
        """The public key that signs, as NAME+KEYID+KEY (C2SP signed-note), and on further lines those that did before.
        Whoever keeps a checkpoint should have the key from elsewhere too."""
        refuse_unknown(request, frozenset())
        keys = await read_keys(self.database)
        if not keys:
            raise NotSealed("nothing has been sealed yet", size=0)
        return text("".join(f"{key}\n" for key in keys))

    @get("/inclusion")
    async def inclusion(
        self,
        request: AnyRequest,
        position: Annotated[
            int | None, QueryParameter(ge=1, le=POSITION_MAX, description="The event's position; it must be given.")
        ] = None,
        size: Size = None,
    ) -> Encoded[bytes]:
        """`{position, index, size, leaf, root, proof, checkpoint}`: that the event at a position is leaf `index` of the
        tree of `size` with this root. `leaf` is SHA-256 of a zero byte and the event's stored bytes: compute it.
        `checkpoint` is the signed note, null when none was signed of just this size."""
        refuse_unknown(request, frozenset({"position", "size"}))
        if position is None:
            raise InvalidField("position", "give the position of an event")
        checkpoint, size = await self._tree(size, position, "position")
        path = inclusion_path(position - 1, size)
        leaf = (0, position - 1)
        nodes = await read_nodes(self.database, {leaf, *(node for named in path for node in named), *edge(0, size)})
        return proven(
            size,
            {
                "position": position,
                "index": position - 1,
                "size": size,
                "leaf": b64(nodes[leaf]),
                "root": b64(fold_right([nodes[node] for node in edge(0, size)])),
                "proof": [b64(digest) for digest in proof(path, nodes.__getitem__)],
                "checkpoint": None if checkpoint is None else checkpoint.note,
            },
        )

    @get("/consistency")
    async def consistency(
        self,
        request: AnyRequest,
        first: Annotated[
            int | None,
            QueryParameter(
                name="from", ge=1, le=POSITION_MAX, description="Size of the earlier checkpoint; it must be given."
            ),
        ] = None,
        second: Annotated[
            int | None,
            QueryParameter(name="to", ge=1, le=POSITION_MAX, description="Size of the later one; default the latest."),
        ] = None,
    ) -> Encoded[bytes]:
        """`{from, to, from_root, to_root, proof, checkpoint}`: that the first `from` events of the tree of `to` are the
        tree of `from`, in the same order: the history was only added to. `checkpoint` is that of `to`, if any."""
        refuse_unknown(request, frozenset({"from", "to"}))
        if first is None:
            raise InvalidField("from", "give the size of the earlier checkpoint")
        if second is not None and second < first:
            raise InvalidField("to", f"it is less than from, which is {first}")
        checkpoint, size = await self._tree(second, first, "from")
        path, edges = consistency_path(first, size), (edge(0, first), edge(0, size))
        nodes = await read_nodes(self.database, {node for named in (*path, *edges) for node in named})
        from_root, to_root = (b64(fold_right([nodes[node] for node in named])) for named in edges)
        return proven(
            size,
            {
                "from": first,
                "to": size,
                "from_root": from_root,
                "to_root": to_root,
                "proof": [b64(digest) for digest in proof(path, nodes.__getitem__)],
                "checkpoint": None if checkpoint is None else checkpoint.note,
            },
        )

    async def _latest(self) -> SignedCheckpoint:
        latest = await latest_checkpoint(self.database)
        if latest is None:
            raise NotSealed("nothing has been sealed yet", size=0)
        return latest

    async def _tree(self, size: int | None, least: int, field: str) -> tuple[SignedCheckpoint | None, int]:
        """The checkpoint of just this size, if one was signed, and the size: the latest by default. Raises NotSealed
        for more events than are sealed, UnknownId for a `least` that is beyond the size asked for."""
        if size is not None and least > size:
            raise UnknownId(field, f"event in a tree of {size}", str(least))
        latest = await self._latest()
        if max(size or 0, least) > latest.size:
            what = field if least > latest.size else "size"
            raise NotSealed(f"{what}: {latest.size} events are sealed so far", size=latest.size)
        if size is None or size == latest.size:
            return latest, latest.size
        found = await checkpoint_from(self.database, size)
        return (found if found is not None and found.size == size else None), size


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def text(body: str, keep: str = "private, no-cache") -> Encoded[str]:
    return Encoded(body.encode(), media_type=TEXT, headers={"Cache-Control": keep})


def proven(size: int, answer: dict[str, Any]) -> Encoded[bytes]:
    headers = {"Hourbook-Position": str(size), "Cache-Control": "private, no-cache"}
    return Encoded(msgspec.json.encode(answer), headers=headers)
