"""The AsyncAPI 3 document of the streams on NATS, and a JSON Schema for each event type.

Both are generated from the event classes, so a new event type is in them as soon as its class exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shared import notices
from shared.events import EVENT_TYPES
from shared.events.schemas import event_schemas

STREAM, SUBJECT = "HOURBOOK", "hourbook.events"
REF = "#/components/schemas/{name}"

ABOUT = f"""Every event of the ledger, in one order: message n of the JetStream stream {STREAM} is position n, from 1
on without a gap, and is published once. Consume it with a durable consumer, and filter by project and type:
`{SUBJECT}.gaia.>` is one project, `{SUBJECT}.*.BookingCreated` one type. The body is the stored event, byte for byte;
the headers are those of a CloudEvent in the binary mode of its NATS binding. Notices (a booking begins, ends soon or
has ended; an over-commitment will be settled soon) are on the stream {notices.STREAM}, at
`{notices.SUBJECT}.<project>.<kind>`: each at least once, with an id that stays the same. Over HTTP both are at
`GET /events` and `GET /notices`, live at `GET /events/stream` and `GET /notices/stream`."""

TRACEPARENT = {
    "type": "string",
    "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
    "description": "The trace of the request that made the event (W3C Trace Context), where traces are on.",
}
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
        "ce-ordinal": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "The place of the event among the events of its command.",
        },
        "ce-requestid": {
            "type": "string",
            "pattern": "^[0-9a-f-]{36}$",
            "description": "The id that Hourbook made of the request's idempotency key. Missing: it had no key.",
        },
        "ce-requesthash": {"type": "string", "pattern": "^([0-9a-f]{2})*$", "description": "A hash of that request."},
        "traceparent": TRACEPARENT,
        "tracestate": {"type": "string", "description": "The tracestate of that trace, if it has one."},
        "ce-traceparent": TRACEPARENT,
        "ce-tracestate": {"type": "string", "description": "The same as tracestate."},
        "content-type": {"const": "application/json"},
    },
}
NOTICE_HEADERS: dict[str, Any] = {
    "type": "object",
    "required": ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time"],
    "properties": {
        "ce-specversion": {"const": "1.0"},
        "ce-id": {"type": "string", "description": "The notice's id: the same each time it is published."},
        "ce-source": {"const": "/hourbook"},
        "ce-type": {"enum": list(notices.KINDS)},
        "ce-subject": {"type": "string", "description": "The booking, or the pool."},
        "ce-time": {"type": "string", "format": "date-time", "description": "The instant that the notice is about."},
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
    bodies, notice_schemas = notices.schemas(REF)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Hourbook", "version": version, "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "id": "urn:hourbook",
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, SUBJECT) for name in names}
        | {kind: _channel(kind, notices.SUBJECT) for kind in notices.KINDS},
        "operations": {f"publish{name}": _operation(name) for name in (*names, *notices.KINDS)},
        "components": {
            "schemas": _schemas(EVENT_TYPES) | notice_schemas,
            "messages": {kind.__name__: _event(kind) for kind in EVENT_TYPES}
            | {kind: _message(kind, text, "noticeHeaders", bodies[kind]) for kind, text in notices.KINDS.items()},
            "messageTraits": {"eventHeaders": {"headers": HEADERS}, "noticeHeaders": {"headers": NOTICE_HEADERS}},
            "parameters": {"project": PROJECT},
        },
    }


def _channel(name: str, subject: str) -> dict[str, Any]:
    return {
        "address": f"{subject}.{{project}}.{name}",
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


def _event(kind: type[msgspec.Struct]) -> dict[str, Any]:
    name = kind.__name__
    summary = (kind.__doc__ or name).strip().splitlines()[0]
    return _message(name, summary, "eventHeaders", {"$ref": f"#/components/schemas/{name}"})


def _message(name: str, summary: str, headers: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "contentType": "application/json",
        "traits": [{"$ref": f"#/components/messageTraits/{headers}"}],
        "payload": payload,
    }


def _schemas(kinds: Sequence[type[msgspec.Struct]]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components(kinds, ref_template=REF)
    return components
