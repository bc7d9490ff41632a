"""What describes the event stream to programs: the AsyncAPI document, and a JSON Schema an event type."""

from __future__ import annotations

import msgspec
import yaml
from litestar import Controller, get
from litestar.params import FromPath

from services.query.asyncapi import document, event_schema
from services.query.questions.parameters import EVENT_TYPE_NAMES
from shared.errors import UnknownId
from shared.http.responses import JSON, Encoded
from shared.version import VERSION

YAML, SCHEMA = "application/yaml", "application/schema+json"
KEPT = {"Cache-Control": "public, max-age=300"}


class Documents(Controller):
    """They change with the program only."""

    @get("/asyncapi.json")
    async def asyncapi_json(self) -> Encoded[bytes]:
        """The event stream as an AsyncAPI 3 document."""
        return Encoded(msgspec.json.encode(document(VERSION)), media_type=JSON, headers=KEPT)

    @get("/asyncapi.yaml")
    async def asyncapi_yaml(self) -> Encoded[bytes]:
        """The same as YAML."""
        text: str = yaml.safe_dump(document(VERSION), sort_keys=False, allow_unicode=True, width=120)
        return Encoded(text.encode(), media_type=YAML, headers=KEPT)

    @get("/schemas/events")
    async def schemas(self) -> Encoded[bytes]:
        """`{schemas: {<event type>: <path>}}`."""
        paths = {name: f"/schemas/events/{name}.json" for name in EVENT_TYPE_NAMES}
        return Encoded(msgspec.json.encode({"schemas": paths}), headers=KEPT)

    @get("/schemas/events/{name:str}")
    async def schema(self, name: FromPath[str]) -> Encoded[bytes]:
        """The JSON Schema of an event type, as `/schemas/events/BookingCreated.json`."""
        try:
            schema = event_schema(name.removesuffix(".json"))
        except KeyError:
            raise UnknownId("name", "event type", name.removesuffix(".json")) from None
        return Encoded(msgspec.json.encode(schema), media_type=SCHEMA, headers=KEPT)
