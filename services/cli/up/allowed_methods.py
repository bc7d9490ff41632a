"""The methods that a path takes at the gateway, where each service knows only its own.

There is no table of paths. The gateway asks both services with OPTIONS, and only about a path that was refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from shared.http.owners import READS

Ask = Callable[[str], Awaitable[frozenset[str] | None]]


async def allowed_at(ask: Ask, is_missing: Callable[[], Awaitable[bool]]) -> frozenset[str] | None:
    """The methods that both services take at one path; None when a service cannot be asked.

    `ask(method)` answers the methods of the service that gets requests with this method. `/projects/create` is a
    command, and to the query service it may be a project named `create`: when both services take a path, `is_missing`
    answers whether there is nothing to read.
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
    """The methods in an Allow header."""
    return frozenset(method.strip().upper() for method in allow.split(",")) - {""}
