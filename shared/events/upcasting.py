"""Old bytes, present classes. Stored events are never rewritten; what an older version of the program stored is brought
up to the present one while it is read, a step for each version in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar, Union, get_args

import msgspec

Document = dict[str, Any]
# By type and version: makes the document of that version the one of the next. `schema` itself is set by the decoder.
Upcasters = Mapping[tuple[str, int], Callable[[Document], Document]]

EventType = TypeVar("EventType", bound=msgspec.Struct)

# A class says which version it is by the type of its field `schema`. The first has a default and is not written; every
# later one is `schema: Annotated[int, Meta(ge=2, le=2)]` without one, so that older bytes cannot be taken for it.
First = Annotated[int, msgspec.Meta(ge=1, le=1)]


class NewerSchema(ValueError):
    """The event was stored by a later version of the program, and would be misread by this one."""


class EventDecoder(Generic[EventType]):
    """Decodes the events of a union of classes, told apart by `type`; older versions of them through `upcasters`.

    Raises ValueError when a class has a version that no chain of upcasters leads up to.
    """

    def __init__(self, kinds: Sequence[type[EventType]], upcasters: Upcasters) -> None:
        union: Any = Union[tuple(kinds)]  # noqa: UP007  (it is made of values)
        self._one: msgspec.json.Decoder[EventType] = msgspec.json.Decoder(union)
        self._many: msgspec.json.Decoder[list[EventType]] = msgspec.json.Decoder(list[union])
        self._union, self._upcasters = union, upcasters
        self._versions = {name_of(kind): version_of(kind) for kind in kinds}
        needed = {(name, version) for name, newest in self._versions.items() for version in range(1, newest)}
        if needed != set(upcasters):
            wrong = sorted(needed.symmetric_difference(upcasters))
            raise ValueError(f"upcasters and versions do not fit together: {wrong}")

    def decode(self, stored: bytes) -> EventType:
        """An event from its stored bytes; fields that this version does not know are ignored. Raises
        msgspec.DecodeError when it is none, NewerSchema when it is one of a later version."""
        try:
            return self._one.decode(stored)
        except msgspec.ValidationError as error:
            return self._decode_older(stored, error)

    def decode_many(self, stored: Sequence[bytes]) -> list[EventType]:
        """As `decode`, for many at once, which is faster."""
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
            raise NewerSchema(f"{name} is of schema {version}; this program knows it up to {newest}") from error
        for step in range(version, newest):
            document = self._upcasters[name, step](document) | {"schema": step + 1}
        return msgspec.convert(document, self._union)  # type: ignore[no-any-return]


def name_of(kind: type[msgspec.Struct]) -> str:
    """The `type` that is stored."""
    return str(kind.__struct_config__.tag)


def version_of(kind: type[msgspec.Struct]) -> int:
    """The schema version of an event class."""
    field = next(field for field in msgspec.structs.fields(kind) if field.name == "schema")
    version = next(meta.ge for meta in get_args(field.type) if isinstance(meta, msgspec.Meta))
    if not isinstance(version, int) or field.required != (version > 1):
        raise ValueError(f"{name_of(kind)} does not say which schema version it is")
    return version
