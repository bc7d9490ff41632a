"""Proofs about the history: the Merkle tree over the stored events (RFC 6962), and its signed checkpoints."""

from __future__ import annotations

import base64
from typing import Any

from services.query.database import Database
from shared.audit.merkle import consistency_path, edge, fold_right, inclusion_path, proof
from shared.audit.store import SignedCheckpoint, checkpoint_from, latest_checkpoint, read_keys, read_nodes
from shared.errors import HourbookError, UnknownId


class NotSealed(HourbookError):
    """The Merkle tree does not hold that many events (yet): an event is sealed within a second. `size` is the number of
    events that are sealed."""

    code = "not_sealed"
    status = 404
    title = "There is no checkpoint of so many events"


async def read_checkpoint(database: Database, size: int | None) -> SignedCheckpoint:
    """The checkpoint of exactly `size` events, or the latest. Raises NotSealed."""
    if size is None:
        return await _latest(database)
    found = await checkpoint_from(database, size)
    if found is None or found.size != size:
        latest = await _latest(database)
        nearest = "" if found is None else f"; the next larger one is of {found.size}"
        raise NotSealed(f"size: no checkpoint was signed of {size} events{nearest}", size=latest.size)
    return found


async def read_public_keys(database: Database) -> list[str]:
    """Every public key that ever signed, the newest first. Raises NotSealed when there is none."""
    keys = await read_keys(database)
    if not keys:
        raise NotSealed("nothing has been sealed yet", size=0)
    return keys


async def read_inclusion(database: Database, position: int, size: int | None) -> dict[str, Any]:
    """`{position, index, size, leaf, root, proof, checkpoint}`. Raises NotSealed, UnknownId."""
    checkpoint, size = await _tree(database, size, position, "position")
    path = inclusion_path(position - 1, size)
    leaf = (0, position - 1)
    nodes = await read_nodes(database, {leaf, *(node for named in path for node in named), *edge(0, size)})
    return {
        "position": position,
        "index": position - 1,
        "size": size,
        "leaf": _b64(nodes[leaf]),
        "root": _b64(fold_right([nodes[node] for node in edge(0, size)])),
        "proof": [_b64(digest) for digest in proof(path, nodes.__getitem__)],
        "checkpoint": None if checkpoint is None else checkpoint.note,
    }


async def read_consistency(database: Database, first: int, second: int | None) -> dict[str, Any]:
    """`{from, to, from_root, to_root, proof, checkpoint}`. Raises NotSealed."""
    checkpoint, size = await _tree(database, second, first, "from")
    path, edges = consistency_path(first, size), (edge(0, first), edge(0, size))
    nodes = await read_nodes(database, {node for named in (*path, *edges) for node in named})
    from_root, to_root = (_b64(fold_right([nodes[node] for node in named])) for named in edges)
    return {
        "from": first,
        "to": size,
        "from_root": from_root,
        "to_root": to_root,
        "proof": [_b64(digest) for digest in proof(path, nodes.__getitem__)],
        "checkpoint": None if checkpoint is None else checkpoint.note,
    }


async def _latest(database: Database) -> SignedCheckpoint:
    latest = await latest_checkpoint(database)
    if latest is None:
        raise NotSealed("nothing has been sealed yet", size=0)
    return latest


async def _tree(database: Database, size: int | None, least: int, field: str) -> tuple[SignedCheckpoint | None, int]:
    """The checkpoint of exactly this size, if one was signed, and the size, by default the latest. `least` is the
    smallest size that the parameter `field` allows. Raises NotSealed for more events than are sealed, UnknownId when
    `least` is more than `size`."""
    if size is not None and least > size:
        raise UnknownId(field, f"event in a tree of {size}", str(least))
    latest = await _latest(database)
    if max(size or 0, least) > latest.size:
        what = field if least > latest.size else "size"
        raise NotSealed(f"{what}: {latest.size} events are sealed so far", size=latest.size)
    if size is None or size == latest.size:
        return latest, latest.size
    found = await checkpoint_from(database, size)
    return (found if found is not None and found.size == size else None), size


def _b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
