"""The JSON Schemas of the events, made from their classes. Each schema is complete in one document."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from shared.events import model
from shared.events.upcasting import name_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
STRUCTS = {
    name: found for name, found in vars(model).items() if isinstance(found, type) and issubclass(found, msgspec.Struct)
}


def event_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each event type in its newest version, by type."""
    return {name_of(kind): event_schema(kind) for kind in model.EVENT_TYPES}


def event_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of one event class."""
    _, definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for name, definition in definitions.items():
        if name in STRUCTS:
            _mark_instants(STRUCTS[name], definition)
    schema = {"$schema": DIALECT, "$id": f"/schemas/events/{name_of(kind)}.json"}
    schema |= definitions.pop(kind.__name__)
    return schema | {"$defs": definitions} if definitions else schema


def _mark_instants(kind: type[msgspec.Struct], definition: dict[str, Any]) -> None:
    """Adds `format: date-time` to every field that is an instant."""
    for field in msgspec.structs.fields(kind):
        if field.type is datetime:
            definition["properties"][field.encode_name]["format"] = "date-time"
