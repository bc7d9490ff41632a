"""The headers and the parameter that every write takes: who asks, the idempotency key, and whether it is a dry run."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid5

import msgspec
from litestar import Request

from services.command.keys import Key
from shared.errors import InvalidField
from shared.names import TEXT_MAX, checked_name, checked_text

# An idempotency key belongs to an actor: two people may both count from 1.
KEYS = UUID("6f0f7ee0-7c1e-5b52-9b2e-6a4f1b7f0c11")
ACTOR, KEY = "X-Hourbook-Actor", "Idempotency-Key"
FIELDS = {name: name.lower().encode() for name in (ACTOR, KEY)}  # as ASGI gives them

AnyRequest = Request[Any, Any, Any]


def actor_of(request: AnyRequest) -> str:
    """Who asks, as the header says, where nobody signs in. Raises InvalidField for what cannot be a name."""
    given = _header(request, ACTOR)
    return "anonymous" if given is None else checked_name(given, ACTOR)


def key_of(request: AnyRequest, actor: str, data: Any) -> Key | None:
    """The idempotency key of the request, None if it has none; `data` is the decoded body. Raises InvalidField."""
    given = _header(request, KEY)
    if given is None:
        return None
    text = checked_text(given, KEY)
    request_hash = blake2b(msgspec.json.encode([request.url.path, data]), digest_size=16).digest()
    return Key(uuid5(KEYS, f"{actor}\n{text}"), request_hash)


def is_dry_run(request: AnyRequest) -> bool:
    """Raises InvalidField for another parameter, and for a value that is neither true nor false."""
    given = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    for name, values in given.items():
        if name != "dry_run":
            raise InvalidField(name[:TEXT_MAX], "there is no such parameter here; there is dry_run")
        if values[0] not in ("true", "false", "1", "0"):
            raise InvalidField("dry_run", f"{values[0]!r} is neither true nor false")
    return given.get("dry_run", ["false"])[0] in ("true", "1")


def _header(request: AnyRequest, name: str) -> str | None:
    wanted = FIELDS[name]
    for field, value in request.scope["headers"]:
        if field == wanted:
            return _decoded(value).strip(" \t")
    return None


def _decoded(value: bytes) -> str:
    """A header's text: UTF-8, or else Latin-1, which was HTTP's own."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
