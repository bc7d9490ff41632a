"""The layout of a cluster as the reads show it: masters, workers, and further groups, each with the size of a node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.capacity import DIMENSIONS, Capacity
from shared.events import Layout

FLAVORS = ("masterflavor", "mastercount", "workerflavor", "workercount")
COLUMNS = (*FLAVORS, "layout")  # of the read models that have a layout
NONE = msgspec.Raw(b"null")


def layout_json(record: Mapping[str, Any]) -> msgspec.Raw:
    """`{masters, workers, groups}` of a row with COLUMNS; null for a cluster whose size was given as counts."""
    if record["mastercount"] is None:
        return NONE
    if record["layout"] is not None:
        return _rendered(msgspec.json.decode(record["layout"], type=Layout))
    return _rendered(
        Layout(
            masterflavor=record["masterflavor"],
            mastercount=record["mastercount"],
            workerflavor=record["workerflavor"],
            workercount=record["workercount"],
        )
    )


def _rendered(layout: Layout) -> msgspec.Raw:
    bounds = {"min": layout.workermin, "max": layout.workermax}
    workers = _nodes(layout.workercount, layout.workerflavor, layout.workersize)
    groups = [
        {
            "name": group.name,
            "role": group.role,
            **_nodes(group.count, group.flavor, group.size),
            "min": group.min,
            "max": group.max,
        }
        for group in layout.groups
    ]
    document = {
        "masters": _nodes(layout.mastercount, layout.masterflavor, layout.mastersize) or None,
        "workers": (workers and workers | bounds) or None,
        "groups": groups,
    }
    return msgspec.Raw(msgspec.json.encode(document))


def _nodes(count: int, flavor: str | None, size: Capacity | None) -> dict[str, Any]:
    """Empty for nodes that the layout does not have. The size is left out where no event says it."""
    if not flavor and size is None:
        return {}
    amounts = {} if size is None else dict(zip(DIMENSIONS, size.counts(), strict=True))
    return {"count": count, "template": flavor or None, **amounts}
