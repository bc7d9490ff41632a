"""Requests to Hourbook with the caller's own credential, and what becomes of a refusal."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import msgspec
from cyclopts import Parameter

from services.cli.client import CONNECTION_ERRORS, DEFAULT_URL, Client, cannot_connect, decoded
from services.cli.failure import Failure, NotAllowed, RefusedByLedger
from services.cli.profiles import Target, target_of
from services.cli.up.directory import DataDirectory, default_directory

T = TypeVar("T")

Url = Annotated[
    str | None,
    Parameter(
        help="The address of Hourbook's HTTP interface. Default: HOURBOOK_URL, the profile's, that of the running"
        f" `hourbook up`, or {DEFAULT_URL}."
    ),
]
# By the status of an answer: the error of the command line. Any other is a Failure.
ERRORS: Mapping[int, type[Failure]] = {
    HTTPStatus.UNAUTHORIZED: NotAllowed,
    HTTPStatus.FORBIDDEN: NotAllowed,
    HTTPStatus.CONFLICT: RefusedByLedger,
}


def over_http(url: str | None, actor: str, ask: Callable[[Client], Awaitable[T]]) -> T:
    """What `ask` returns. Raises Failure."""
    return at_target(target_of(url, None, os.environ), actor, ask)


def at_target(target: Target, actor: str, ask: Callable[[Client], Awaitable[T]]) -> T:
    """What `ask` returns, of the ledger at the target. Raises Failure."""
    address = target.url or running_address()

    async def asked() -> T:
        async with Client(address, actor, credential=target.headers) as client:
            return await ask(client)

    try:
        return asyncio.run(asked())
    except CONNECTION_ERRORS as error:
        raise cannot_connect(address, error) from None


def running_address() -> str:
    """The address of the `hourbook up` in the default data directory; without one, DEFAULT_URL."""
    run = DataDirectory(default_directory(os.environ)).read_run()
    return DEFAULT_URL if run is None else run.address


def accepted(status: int, answered: bytes) -> Any:
    """The document of an answer. Raises Failure, which says why Hourbook refuses."""
    if status >= HTTPStatus.BAD_REQUEST:
        raise ERRORS.get(status, Failure)(decoded(answered).detail)
    return msgspec.json.decode(answered)


async def read_pages(client: Client, path: str, name: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """All pages of a list, whose items are under `name`. Raises Failure."""
    rows: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = accepted(*await client.get(path, {**query, **after, "limit": "1000"}))
        rows += page[name]
        if page.get("next") is None:
            return rows
        after = {"after": str(page["next"])}
