"""Values in COPY's binary format, which is how rows that are new reach PostgreSQL fastest."""

from __future__ import annotations

NULL = b"\xff\xff\xff\xff"
HOUR_US = 3_600_000_000
Y2000 = 262_968  # the hour at which PostgreSQL's timestamps start


def packed_text(text: str | None) -> bytes:
    if text is None:
        return NULL
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded
