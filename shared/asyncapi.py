"""The event stream described for programs: an AsyncAPI 3 document and a JSON Schema an event type, made of the types.

Nothing is written by hand that the types say: a new event type is in the document, with its fields, by being there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shared.events import EVENT_TYPES
from shared.events.schemas import event_schemas

STREAM, SUBJECT = "HOURBOOK", "hourbook.events"
REF = "#/components/schemas/{name}"

ABOUT = f"""Every decision of the ledger, in one order: message n of the JetStream stream {STREAM} is position n, from
1 on without a gap, and is published once. Consume it with a durable consumer whose filter names the projects and types
wanted: `{SUBJECT}.gaia.>` is one project, `{SUBJECT}.*.BookingCreated` one type. The body is the event as it is stored,
byte for byte; the headers are a CloudEvent's in the binary mode of its NATS binding. Over HTTP the same events are at
`GET /events` and, live as server-sent events, at `GET /events/stream`."""

HEADERS: dict[str, Any] = {
    "type": "object",
    "required": ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-sequence", "ce-streamversion"],
    "properties": {
        "ce-specversion": {"const": "1.0"},
        "ce-id": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "The position."},
        "ce-source": {"const": "/hourbook"},
        "ce-type": {"type": "string", "description": "The event's type."},
        "ce-subject": {"type": "string", "description": "The project."},
        "ce-sequence": {"type": "string", "pattern": "^[0-9]{20}$", "description": "The position, so that it sorts."},
        "ce-streamversion": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "The project's version."},
        "content-type": {"const": "application/json"},
    },
}
PROJECT = {"description": "The project's id, as `gaia`."}


def event_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of an event type, whole. Raises KeyError for a type that there is not."""
    return event_schemas()[name]


def document(version: str) -> dict[str, Any]:
    """The AsyncAPI document; `version` is the program's."""
    names = [kind.__name__ for kind in EVENT_TYPES]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Hourbook", "version": version, "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "id": "urn:hourbook",
        "defaultContentType": "application/json",
        "channels": {name: _channel(name) for name in names},
        "operations": {f"publish{name}": _operation(name) for name in names},
        "components": {
            "schemas": _schemas(EVENT_TYPES),
            "messages": {kind.__name__: _message(kind) for kind in EVENT_TYPES},
            "messageTraits": {"cloudEvent": {"headers": HEADERS}},
            "parameters": {"project": PROJECT},
        },
    }


def _channel(name: str) -> dict[str, Any]:
    return {
        "address": f"{SUBJECT}.{{project}}.{name}",
        "description": f"The {name} of a project.",
        "parameters": {"project": {"$ref": "#/components/parameters/project"}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operation(name: str) -> dict[str, Any]:
    return {
        "action": "send",
        "summary": f"Hourbook publishes a {name}.",
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }


def _message(kind: type[msgspec.Struct]) -> dict[str, Any]:
    name = kind.__name__
    return {
        "name": name,
        "title": name,
        "summary": (kind.__doc__ or name).strip().splitlines()[0],
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }


def _schemas(kinds: Sequence[type[msgspec.Struct]]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components(kinds, ref_template=REF)
    return components
