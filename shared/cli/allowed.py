"""What a path answers behind the one address, where each service knows its own half.

There is no table to keep: whoever may answer a path is asked with OPTIONS, and only about a path that was refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

READS = frozenset({"GET", "HEAD"})

Ask = Callable[[str], Awaitable[frozenset[str] | None]]


async def allowed_at(ask: Ask) -> frozenset[str] | None:
    """`ask` says which methods the service takes that a request with this method would go to. None is nobody knows."""
    reads, others = await asyncio.gather(ask("GET"), ask("POST"))
    if reads is None or others is None:
        return None
    methods = (reads & READS) | (others - READS)
    return methods | {"OPTIONS"} if methods - {"OPTIONS"} else frozenset()


def named(allow: str) -> frozenset[str]:
    """The methods in a header."""
    return frozenset(method.strip().upper() for method in allow.split(",")) - {""}
