"""The ledger that a command asks: its reads and commands, and what its refusals mean for the options."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec
from aiohttp import ClientConnectorError

from services.cli.client import CONNECTION_ERRORS, UNAVAILABLE, Client, decoded, with_hint
from services.cli.failure import Failure, WrongUse
from services.cli.people.options import Ask
from services.cli.people.times import Clock, clock_of
from services.cli.profiles import target_of
from services.cli.requests import ERRORS as BY_STATUS
from services.cli.requests import at_target

T = TypeVar("T")
TRIES, TRY_AGAIN_S = 5, 1.0
PAGE = "1000"
NAMELESS = "anonymous"
# The option or argument of the command line by the field of a request.
OPTIONS = {
    "startdate": "--from",
    "enddate": "--until",
    "from": "--from",
    "since": "--from",
    "range": "--range",
    "duration": "--for",
    "project": "POOL",
    "clusterid": "POOL",
    "cluster": "POOL",
    "id": "BOOKING",
    "Idempotency-Key": "--key",
}


class UnknownThing(Failure):
    """There is nothing with this id, or the caller may not see it."""


# The error by the status of an answer. Any other is a Failure.
ERRORS: Mapping[int, type[Failure]] = {**BY_STATUS, 400: WrongUse, 404: UnknownThing}


class Answer(NamedTuple):
    """An answer of the ledger: its bytes, and its document."""

    body: bytes
    document: Any


class Ledger:
    """Reads and commands of one command line. Its methods raise Failure."""

    def __init__(self, client: Client, clock: Clock, account: str | None) -> None:
        self._client, self.clock, self._account = client, clock, account

    @property
    def zone(self) -> str:
        return self.clock.zone

    async def read(self, path: str, /, **query: str | None) -> Answer:
        """A GET. A parameter that is None is left out."""
        given = {name: value for name, value in query.items() if value is not None}
        status, body = await self._client.get(path, given)
        if status >= 400:
            raise failure_of(status, body)
        return Answer(body, msgspec.json.decode(body))

    async def pages(self, path: str, /, **query: str | None) -> list[Answer]:
        """The pages of a list."""
        found = [await self.read(path, **query, limit=PAGE)]
        while (after := found[-1].document.get("next")) is not None:
            found.append(await self.read(path, **query, limit=PAGE, after=str(after)))
        return found

    async def items(self, path: str, name: str, /, **query: str | None) -> list[dict[str, Any]]:
        """The items of all pages, which are under `name`."""
        return [item for page in await self.pages(path, **query) for item in page.document[name]]

    async def projects(self) -> list[str]:
        """The ids of all projects that the caller sees."""
        return [project["id"] for project in await self.items("/projects", "projects")]

    async def try_out(self, path: str, body: Mapping[str, Any]) -> Answer:
        """The dry run of a command: what it would do."""
        status, answered = await self._client.dry_run(path, body)
        if status >= 400:
            raise failure_of(status, answered)
        return Answer(answered, msgspec.json.decode(answered))

    async def send(self, path: str, body: Mapping[str, Any], key: str) -> Answer:
        """Sends a command. If no answer comes, it is sent again with the same key, so it is done once at most."""
        for attempt in range(TRIES):
            try:
                status, answered = await self._client.send(path, body, key)
            except CONNECTION_ERRORS as error:
                if attempt == TRIES - 1:
                    raise self._unknown(error, key) from None
                await asyncio.sleep(TRY_AGAIN_S)
                continue
            break
        if status in UNAVAILABLE:
            raise Failure(f"{decoded(answered).detail}. {repeat_with(key)}")
        if status >= 400:
            raise failure_of(status, answered)
        return Answer(answered, msgspec.json.decode(answered))

    def _unknown(self, error: Exception, key: str) -> Exception:
        if isinstance(error, ClientConnectorError):
            return error  # nothing was sent
        return Failure(f"no answer came from {self._client.url}, so the outcome is not known. {repeat_with(key)}")

    async def live(self, path: str, /, **query: str | None) -> AsyncIterator[bytes]:
        """The data of the server-sent events, without an end. Goes on after the last one if the connection is lost."""
        given = {name: value for name, value in query.items() if value is not None}
        while True:
            with contextlib.suppress(*CONNECTION_ERRORS):
                async for last, data in self._client.events(path, given):
                    given = {"after": last, **{name: given[name] for name in given if name not in ("after", "since")}}
                    if data:
                        yield data
            await asyncio.sleep(TRY_AGAIN_S)

    async def account(self, given: str | None) -> str:
        """Who books: `--account`, the profile's account, who has signed in, or the name of the user here."""
        if given or self._account:
            return given or self._account or ""
        me = (await self.read("/me")).document
        return str(me["id"]) if me["signed_in"] else person()


def with_ledger(ask: Ask, work: Callable[[Ledger], Awaitable[T]]) -> T:
    """What `work` returns, with the ledger that the options name. Raises Failure."""
    target = target_of(ask.url, ask.profile, os.environ)
    clock = clock_of(ask.tz or target.tz)
    return at_target(target, person(), lambda client: work(Ledger(client, clock, target.account)))


def person() -> str:
    """The name of the user on this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return NAMELESS


def pool_query(pool: str) -> dict[str, str]:
    """How reads and commands name a pool: `clusterid` with a dot in it, `project` without."""
    return {"clusterid" if "." in pool else "project": pool}


def failure_of(status: int, body: bytes) -> Failure:
    """The error of an answer. It names the options instead of the fields."""
    try:
        problem = msgspec.json.decode(body)
    except msgspec.DecodeError:
        problem = {}
    return failure_of_problem(status, problem) if problem.get("code") else Failure(decoded(body).detail)


def failure_of_problem(status: int, problem: Mapping[str, Any]) -> Failure:
    """The error of a problem document."""
    kind = ERRORS.get(status, Failure)
    errors = problem.get("errors") or []
    detail = with_hint(str(problem["detail"]), problem["code"], problem.get("needs"), problem.get("pool"))
    if len(errors) == 1:  # an unknown id says more in `detail`, after the name of the field
        [error] = errors
        return kind(f"{option_of(error['field'])}: {detail.removeprefix(error['field'] + ': ')}")
    if errors:
        return kind("; ".join(f"{option_of(error['field'])}: {error['detail']}" for error in errors))
    return kind(detail)


def option_of(field: str) -> str:
    return OPTIONS.get(field) or (field if field[:1].isupper() else f"--{field}")


def repeat_with(key: str) -> str:
    return f"The same command with `--key {key}` does it once, or says what became of it"
