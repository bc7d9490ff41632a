"""What a path answers behind the one address, where each service knows its own half.

There is no table to keep: whoever may answer a path is asked with OPTIONS, and only about a path that was refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

READS = frozenset({"GET", "HEAD"})

Ask = Callable[[str], Awaitable[frozenset[str] | None]]


async def allowed_at(ask: Ask, is_missing: Callable[[], Awaitable[bool]]) -> frozenset[str] | None:
    """`ask` says which methods the service takes that a request with this method would go to. None is nobody knows.

    To one service `/projects/create` is a command, to the other it may be a thing of that name: where both take a path,
    `is_missing` tells whether there is nothing to read.
    """
    reads, others = await asyncio.gather(ask("GET"), ask("POST"))
    if reads is None or others is None:
        return None
    reads, others = reads & READS, others - READS
    if reads and "POST" in others and await is_missing():
        reads = frozenset()
    methods = reads | others
    return methods | {"OPTIONS"} if methods - {"OPTIONS"} else frozenset()


def named(allow: str) -> frozenset[str]:
    """The methods in a header."""
    return frozenset(method.strip().upper() for method in allow.split(",")) - {""}
