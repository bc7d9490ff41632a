"""Documents that describe the event stream to programs: AsyncAPI, and a JSON Schema for each event type."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import yaml
from litestar import Controller, get
from litestar.params import PathParameter

from services.query.documents import service
from services.query.questions.parameters import EVENT_TYPE_NAMES
from services.query.render.asyncapi import document, event_schema
from services.query.routes.forms import in_json, only
from services.query.routes.needs import ANYBODY
from services.query.routes.reads import NEEDS
from shared.errors import UnknownId
from shared.http.answers import ANSWERS, Answers
from shared.http.responses import JSON, EncodedResponse
from shared.version import VERSION

YAML, SCHEMA = "application/yaml", "application/schema+json"
SchemaName = Annotated[str, PathParameter(description="The event type, with or without `.json`.")]


def opt(answers: Answers) -> dict[str, Any]:
    return {NEEDS: ANYBODY, ANSWERS: answers}


KEPT = {"Cache-Control": "public, max-age=300"}


class Documents(Controller):
    """These documents change only with a new version of Hourbook."""

    @get("/asyncapi.json", summary="AsyncAPI document as JSON", opt=opt(in_json(dict[str, Any])))
    async def asyncapi_json(self) -> EncodedResponse[bytes]:
        """The streams of events and notices on NATS JetStream, as an AsyncAPI 3 document."""
        return EncodedResponse(msgspec.json.encode(document(VERSION)), media_type=JSON, headers=KEPT)

    @get("/asyncapi.yaml", summary="AsyncAPI document as YAML", opt=opt(only(YAML)))
    async def asyncapi_yaml(self) -> EncodedResponse[bytes]:
        """The streams of events and notices on NATS JetStream, as an AsyncAPI 3 document in YAML."""
        text: str = yaml.safe_dump(document(VERSION), sort_keys=False, allow_unicode=True, width=120)
        return EncodedResponse(text.encode(), media_type=YAML, headers=KEPT)

    @get("/schemas/events", summary="JSON Schemas of the event types", opt=opt(in_json(service.EventSchemas)))
    async def schemas(self) -> EncodedResponse[bytes]:
        """`{schemas: {<event type>: <path>}}`: where the JSON Schema of each event type is."""
        paths = {name: f"/schemas/events/{name}.json" for name in EVENT_TYPE_NAMES}
        return EncodedResponse(msgspec.json.encode({"schemas": paths}), headers=KEPT)

    @get("/schemas/events/{name:str}", summary="JSON Schema of an event type", opt=opt(only(SCHEMA)))
    async def schema(self, name: SchemaName) -> EncodedResponse[bytes]:
        """The JSON Schema (2020-12) of the stored JSON of an event type, as `/schemas/events/BookingCreated.json`."""
        try:
            schema = event_schema(name.removesuffix(".json"))
        except KeyError:
            raise UnknownId("name", "event type", name.removesuffix(".json")) from None
        return EncodedResponse(msgspec.json.encode(schema), media_type=SCHEMA, headers=KEPT)
