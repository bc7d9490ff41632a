"""Secrets that Hourbook makes: `hbk_…` of tokens, `hbs_…` of sessions, `hbf_…` of feed addresses.

A secret is a prefix, 43 characters from 256 random bits, and a checksum of 6 characters. So a program that looks for
leaked secrets finds them, and a mistyped one is refused without a look at the database. The database has the SHA-256 of
each.
"""

from __future__ import annotations

import secrets
import string
from hashlib import sha256
from typing import Literal
from zlib import crc32

Kind = Literal["hbk", "hbs", "hbf"]
TOKEN: Kind = "hbk"
SESSION: Kind = "hbs"
FEED: Kind = "hbf"
DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
BODY, CHECKSUM = 43, 6  # 62 ** 43 > 2 ** 256 > 62 ** 42; 62 ** 6 > 2 ** 32


def new_secret(kind: Kind) -> str:
    """A new secret of this kind."""
    body = f"{kind}_{_written(secrets.randbits(256), BODY)}"
    return body + _checksum(body)


def is_secret(text: str, kind: Kind) -> bool:
    """Whether `text` looks like a secret of this kind. It may be one that was never given out."""
    prefix = f"{kind}_"
    whole = len(text) == len(prefix) + BODY + CHECKSUM and text.isascii() and text.startswith(prefix)
    return whole and text[-CHECKSUM:] == _checksum(text[:-CHECKSUM])


def hash_of(secret: str) -> bytes:
    """The SHA-256 that the database keeps, 32 bytes. A slow hash is not needed: nobody guesses 256 random bits."""
    return sha256(secret.encode()).digest()


def _checksum(body: str) -> str:
    return _written(crc32(body.encode()), CHECKSUM)


def _written(number: int, length: int) -> str:
    """The number in base 62, with leading zeros."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))
