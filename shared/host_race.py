"""Asks several hosts for a connection and takes the first that gives one. A silent host delays the others for a quarter
of a second only ("happy eyeballs", RFC 8305)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import asyncpg

from shared.errors import words_of
from shared.postgres_hosts import Host

SILENT_S = 0.25  # the next host is asked when the one before has not answered for this long
ASK_TIMEOUT_S = 2.0  # a host that has not given a connection by then is not taken

Ask = Callable[[Host], Awaitable[Any]]

# Errors after which the same host may give a connection later.
FOR_NOW = (
    OSError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


class NoHostTaken(asyncpg.TargetServerAttributeNotMatched):
    """No host of the address gave a connection. The message says why, for each host. The same address may do in a
    second: a standby may be promoted."""


class NotTaken(asyncpg.TargetServerAttributeNotMatched):
    """A host answered and is not the one to take. The message says why, after the name of the host."""


async def first_taken(hosts: Iterable[Host], ask: Ask, silent_s: float = SILENT_S) -> tuple[Host, Any]:
    """Asks the hosts in this order until one gives a connection; returns both. The next host is asked when the one
    before has failed, or has been silent for `silent_s`.

    Connections of slower hosts are closed. Raises NoHostTaken, or what `ask` raised when that was the same error of
    PostgreSQL (such as a wrong password) at each host.
    """
    waiting, errors = list(hosts), dict[Host, Exception]()
    asked: dict[asyncio.Task[Any], Host] = {}
    try:
        while waiting or asked:
            if waiting:
                host = waiting.pop(0)
                asked[asyncio.ensure_future(ask(host))] = host
            done, _ = await asyncio.wait(
                asked, timeout=silent_s if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (error := task.exception()) is None:
                    return asked.pop(task), task.result()
                if not isinstance(error, Exception):
                    raise error
                errors[asked.pop(task)] = error
        raise _no_host(errors)
    finally:
        for task in asked:
            _leave(task)


def _leave(task: asyncio.Task[Any]) -> None:
    """Cancels an attempt. Its connection is closed if it comes nevertheless."""
    task.cancel()
    task.add_done_callback(_close)


def _close(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()


def _no_host(errors: Mapping[Host, Exception]) -> Exception:
    first, *others = errors.values()
    if not isinstance(first, FOR_NOW) and all(type(one) is type(first) for one in others):
        return first
    said = "; ".join(f"{host.name} {why_not(error)}" for host, error in errors.items())
    return NoHostTaken(f"no host of the database's address was taken: {said}")


def why_not(error: Exception) -> str:
    """Why a host was not taken, as the end of a sentence that begins with its name."""
    if isinstance(error, NotTaken):
        return str(error)
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return "is a standby, or takes no writes"
    if isinstance(error, TimeoutError):
        return f"did not answer within {ASK_TIMEOUT_S:.0f} s"
    if isinstance(error, socket.gaierror):
        return f"is a name that cannot be resolved ({error.strerror})"
    if isinstance(error, OSError) and error.errno:
        return f"cannot be reached ({os.strerror(error.errno)})"
    return f"answered: {words_of(error)}"
