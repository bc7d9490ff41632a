"""Values in COPY's binary format, which is how rows that are new reach PostgreSQL fastest."""

from __future__ import annotations

NULL = b"\xff\xff\xff\xff"


def packed_text(text: str | None) -> bytes:
    if text is None:
        return NULL
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded
