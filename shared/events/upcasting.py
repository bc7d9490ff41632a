"""Decodes events of older schema versions. Stored events are never rewritten. The decoder converts an old event when it
reads it, with one upcaster for each version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar, Union, get_args

import msgspec

Document = dict[str, Any]
# Upcasters by (type, version). Each converts a document of that version to the next one; the decoder sets `schema`.
Upcasters = Mapping[tuple[str, int], Callable[[Document], Document]]

EventType = TypeVar("EventType", bound=msgspec.Struct)

# The type of the field `schema` gives the version of an event class. Version 1 is a default value, which is not stored.
# A later version is `schema: Annotated[int, Meta(ge=2, le=2)]` without a default, so older bytes do not fit that class.
FirstVersion = Annotated[int, msgspec.Meta(ge=1, le=1)]


class NewerSchema(ValueError):
    """A newer version of Hourbook stored the event, and this version cannot read it."""


class EventDecoder(Generic[EventType]):
    """Decodes events of several classes by their `type`, and converts older versions with `upcasters`.

    Raises ValueError if the upcasters do not convert exactly the older versions of each class.
    """

    def __init__(self, kinds: Sequence[type[EventType]], upcasters: Upcasters) -> None:
        union: Any = Union[tuple(kinds)]  # noqa: UP007  (the classes are known at run time only)
        self._one: msgspec.json.Decoder[EventType] = msgspec.json.Decoder(union)
        self._many: msgspec.json.Decoder[list[EventType]] = msgspec.json.Decoder(list[union])
        self._union, self._upcasters = union, upcasters
        self._versions = {name_of(kind): version_of(kind) for kind in kinds}
        needed = {(name, version) for name, newest in self._versions.items() for version in range(1, newest)}
        if needed != set(upcasters):
            wrong = sorted(needed.symmetric_difference(upcasters))
            raise ValueError(f"upcasters are missing or too many: {wrong}")

    def decode(self, stored: bytes) -> EventType:
        """An event from its stored bytes. Ignores unknown fields. Raises msgspec.DecodeError if the bytes are not an
        event, NewerSchema if the event has a newer version than its class."""
        try:
            return self._one.decode(stored)
        except msgspec.ValidationError as error:
            return self._decode_older(stored, error)

    def decode_many(self, stored: Sequence[bytes]) -> list[EventType]:
        """The events of many stored bytes, in their order. Faster than `decode` for each; raises the same errors."""
        try:
            return self._many.decode(b"[" + b",".join(stored) + b"]")
        except msgspec.ValidationError:
            return [self.decode(data) for data in stored]

    def _decode_older(self, stored: bytes, error: msgspec.ValidationError) -> EventType:
        document = msgspec.json.decode(stored)
        name = document.get("type") if isinstance(document, dict) else None
        newest = self._versions.get(name) if isinstance(name, str) else None
        version = document.get("schema", 1) if newest is not None else None
        if name is None or newest is None or type(version) is not int or version == newest:
            raise error
        if version > newest:
            raise NewerSchema(
                f"{name} has schema version {version}, and this version of Hourbook reads up to {newest}"
            ) from error
        for step in range(version, newest):
            document = self._upcasters[name, step](document) | {"schema": step + 1}
        return msgspec.convert(document, self._union)  # type: ignore[no-any-return]


def name_of(kind: type[msgspec.Struct]) -> str:
    """The `type` of an event class, as it is stored."""
    return str(kind.__struct_config__.tag)


def version_of(kind: type[msgspec.Struct]) -> int:
    """The schema version of an event class. Raises ValueError if its field `schema` does not give one."""
    field = next(field for field in msgspec.structs.fields(kind) if field.name == "schema")
    version = next(meta.ge for meta in get_args(field.type) if isinstance(meta, msgspec.Meta))
    if not isinstance(version, int) or field.required != (version > 1):
        raise ValueError(f"{name_of(kind)}: the field `schema` does not give a schema version")
    return version
