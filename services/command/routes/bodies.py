"""Reads the body of a command: its bytes become the body's type, or an error that names every bad field.

The framework would take "1" and 1e3 for integers, and of two fields with one name the last. Here, nothing is guessed.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException
from litestar.types import Empty

from services.command.routes.fields import SHAPES, rule_of
from shared.errors import InvalidField

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# The name of every field ends with it, blanks aside. A text may hold it too, so a body has at least as many as fields.
NAME_END, BLANKS = b'":', b" \t\r\n"
FIELD_MAX = 200
DIGITS_MAX = 16  # of a Content-Length that is read as a number
DECODER = msgspec.json.Decoder()


class CommandRequest(Request[Any, Any, Any]):
    """A request that reads its body itself, into the type that its route takes."""

    __slots__ = ()

    async def json(self) -> Any:
        kind: Any = self.route_handler.parsed_data_field
        return read_body(await self.body(), kind.annotation)

    async def body(self) -> bytes:
        """The body's bytes. The framework's own reading first makes an object of all headers, which takes longer than
        all the rest: so it reads only where Content-Length does not say that the body is small enough."""
        if self._body is not Empty or not self.is_connected or not self._announces_little():
            return await super().body()
        pieces: list[bytes] = []
        more = True
        while more:
            message: Any = await self.receive()
            if message["type"] == "http.disconnect":
                raise InternalServerException("the client has left before its whole body was there")
            pieces.append(message["body"])
            more = message.get("more_body", False)
        self.is_connected = False
        self._body = self._connection_state.body = b"".join(pieces)
        return self._body

    def _announces_little(self) -> bool:
        """Whether Content-Length says that the body is not too large. The server takes no more than it says."""
        most = self.route_handler.resolve_request_max_body_size()
        given = next((value for name, value in self.scope["headers"] if name == b"content-length"), b"")
        return given.isdigit() and len(given) < DIGITS_MAX and (most is None or int(given) <= most)


def read_body(body: bytes, kind: Any) -> Any:
    """The body as a `kind`. Raises InvalidField, which names every bad field."""
    given = parsed(body)
    try:
        return msgspec.convert(given, kind)
    except (msgspec.ValidationError, InvalidField) as error:
        problems = list(problems_of(struct_of(kind), given)) if isinstance(given, dict) else []
        raise InvalidField.several(problems or [("body", str(error))]) from None


def parsed(body: bytes) -> Any:
    """The JSON in a body; a byte order mark is skipped. Raises InvalidField for what is not JSON, and for a field that
    is there twice."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        given = DECODER.decode(body)
    except msgspec.DecodeError as error:
        if body.startswith(UTF16) or b"\0" in body[:4]:
            raise InvalidField("body", "it is UTF-16 or UTF-32; send UTF-8") from None
        raise InvalidField("body", f"it cannot be read: {error}") from None
    at_most = body.translate(None, BLANKS).count(NAME_END)
    if not isinstance(given, dict) or (at_most != len(given) and at_most != names_in(given)):
        check_names(body)
    return given


def names_in(given: Any) -> int:
    """The number of fields of a JSON value, those inside it included."""
    values = given.values() if isinstance(given, dict) else given
    names = len(given) if isinstance(given, dict) else 0
    return names + sum([names_in(value) for value in values if isinstance(value, (dict, list))])


def check_names(body: bytes) -> None:
    """Raises InvalidField for a field that is there twice."""

    def once(pairs: list[tuple[str, Any]]) -> None:
        seen = set[str]()
        for name, _ in pairs:
            if name in seen:
                raise InvalidField(name[:FIELD_MAX], "it is there twice; give it once")
            seen.add(name)

    json.loads(body.decode(), object_pairs_hook=once)


@cache
def struct_of(annotation: Any) -> Any:
    """The type of the body; of an optional body, the type that is not None."""
    return next((kind for kind in get_args(annotation) if kind is not type(None)), annotation)


def problems_of(kind: Any, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every bad field, and what is wrong with it. The decoder itself stops at the first."""
    fields = msgspec.structs.fields(kind)
    names = {field.encode_name for field in fields}
    for name in given:
        if name not in names:
            yield name[:FIELD_MAX], f"unknown field; there are {', '.join(sorted(names))}"
    for field in fields:
        if field.encode_name in given:
            yield from problems_in(field, given[field.encode_name])
        elif field.required:
            yield field.encode_name, "required field is missing"


def problems_in(field: msgspec.structs.FieldInfo, value: Any) -> Iterator[tuple[str, str]]:
    rule = rule_of(field.type)
    try:
        msgspec.convert(value, field.type)
        if rule is not None and value is not None:
            rule(value, field.encode_name)
    except msgspec.ValidationError as error:
        yield field.encode_name, in_words(str(error), value)
    except InvalidField as error:
        yield from ((one["field"], one["detail"]) for one in error.facts["errors"])


def in_words(problem: str, value: Any) -> str:
    """The decoder's message; for a text of the wrong shape, what would be right."""
    shape = next((words for pattern, words in SHAPES.items() if repr(pattern) in problem), None)
    return problem if shape is None or not isinstance(value, str) else f"{value[:FIELD_MAX]!r} is not {shape}"
