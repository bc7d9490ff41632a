"""`hourbook subscriber create`, `subscriber list` and `subscriber remove`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from nats.js import JetStreamContext
from rich.table import Table

from services.cli.failure import Failure
from services.cli.subscribers.places import Embedded, Own, patiently, place
from services.cli.terminal import table_console
from services.cli.up import consumers
from services.cli.up.directory import DataDir
from services.cli.up.embedded_nats import Subscriber, hashed, new_password, quoted
from services.cli.up.private_files import open_private
from services.cli.up.servers import NATS, NATS_ERRORS, cannot_use, redacted
from shared.jetstream import leave
from shared.names import SLUG
from shared.nats_access.config import ORDERED, subscriber_account
from shared.nats_access.users import SUBSCRIBER
from shared.nats_server import NatsFiles, why
from shared.settings import settings_from

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
HOW_TO_ADD = """\
# Put these lines into the configuration of the NATS server, inside `accounts { }` (with deploy/compose.yaml: into
# deploy/nats-subscribers.conf; of a cluster: into that of each server). Then reload the server twice
# (`nats-server --signal reload`): it takes a new account at the first time, and the subjects of the account at the
# second."""


def create(
    name: str,
    /,
    *,
    project: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
    every: Annotated[bool, Parameter(name="--all", negative=())] = False,
    out: Path | None = None,
    data_dir: DataDir = None,
) -> None:
    """
    Parameters
    ----------
    name
        The subscriber's name: a-z, 0-9 and hyphens, at most 32 characters.
    project
        A project that it may read. Give the option again for each more.
    every
        It may read all projects, also those that are made later.
    out
        Write the address into this new file, which only you may read, and not to the terminal.
    """
    projects = checked(name, project, every)
    if out is not None and out.exists():
        raise Failure(f"--out: {out} is there already: name a file that is not there")
    password = new_password()
    asyncio.run(_create(place(data_dir, os.environ), name, projects, password, out))


def list_(*, data_dir: DataDir = None) -> None:
    """List the subscribers, by name."""
    at = place(data_dir, os.environ)
    found = asyncio.run(_list(at))
    table = Table("subscriber", "reads", "events that wait", box=None, pad_edge=False)
    for one in found:
        table.add_row(one.name, ", ".join(one.projects) or "all projects", f"{one.waiting:,}")
    table_console().print(table)


def remove(name: str, /, *, data_dir: DataDir = None) -> None:
    """
    Parameters
    ----------
    name
        The subscriber's name.
    """
    asyncio.run(remove_at(place(data_dir, os.environ), name))


def checked(name: str, project: tuple[str, ...], every: bool) -> tuple[str, ...]:
    """The projects; none for all. Raises Failure."""
    if not NAME.fullmatch(name) or name.endswith(ORDERED):
        raise Failure(
            f"the name {name!r} should begin with a letter, have only a-z, 0-9 and hyphens, at most 32 characters, and "
            f"not end in {ORDERED}"
        )
    for one in project:
        if not re.match(SLUG, one):
            raise Failure(f"--project: {one!r} is no id of a project")
    if bool(project) == every:
        raise Failure("say what it may read: --project PROJECT, once or several times, or --all")
    return tuple(dict.fromkeys(project))


async def _create(at: Embedded | Own, name: str, projects: tuple[str, ...], password: str, out: Path | None) -> None:
    address = await create_at(at, name, projects, password)
    _tell(f"NATS_URL={address}\nSUBSCRIBER={name}\n", out)
    if out is None:
        print("hourbook: keep the address: its password is not shown again", file=sys.stderr)


async def create_at(at: Embedded | Own, name: str, projects: tuple[str, ...], password: str) -> str:
    """Makes a subscriber, and returns its address with the password. Raises Failure, and leaves nothing then."""
    async with _administrator(at) as context:
        if any(one.name == name for one in await consumers.readers(context)):
            raise Failure(f"there is a subscriber {name} already: remove it first, or choose another name")
        await consumers.make(context, name, projects, settings_from(os.environ, NatsFiles).stream_replicas)
        try:
            await _let_in(at, name, projects, password)
        except BaseException:
            await patiently(lambda: consumers.remove(context, name))
            raise
    return at.address_of(f"{SUBSCRIBER}{name}", password)


async def _let_in(at: Embedded | Own, name: str, projects: tuple[str, ...], password: str) -> None:
    hash_ = hashed(password)
    if isinstance(at, Own):
        print("\n".join([HOW_TO_ADD, *subscriber_account(name, quoted(hash_)), ""]))
        return
    with at.files.locked():
        await at.let_in(Subscriber(name, projects, hash_), password)


def _tell(credentials: str, out: Path | None) -> None:
    if out is None:
        print(credentials, end="")
        return
    try:
        file = open_private(out, "x")
    except OSError as error:
        raise Failure(f"--out: {error}; remove the subscriber, and create it again") from None
    with file:
        file.write(credentials)


async def _list(at: Embedded | Own) -> list[consumers.Reader]:
    async with _administrator(at) as context:
        return await consumers.readers(context)


async def remove_at(at: Embedded | Own, name: str) -> None:
    """Ends a subscriber. Raises Failure if there is none."""
    async with _administrator(at) as context:
        found = await consumers.remove(context, name)
    if isinstance(at, Embedded):
        found = _shut_out(at, name) or found
    if not found:
        raise Failure(f"there is no subscriber {name}: `hourbook subscriber list` shows all")
    if isinstance(at, Own):
        print(f"Now remove the account {SUBSCRIBER}{name} from the configuration of the NATS server, and reload it.")


def _shut_out(at: Embedded, name: str) -> bool:
    """Takes a subscriber out of the server's configuration. Answers whether it was there."""
    with at.files.locked():
        subscribers = at.files.subscribers()
        left = [one for one in subscribers if one.name != name]
        if len(left) < len(subscribers):
            at.set_subscribers(left)
    return len(left) < len(subscribers)


@contextlib.asynccontextmanager
async def _administrator(at: Embedded | Own) -> AsyncIterator[JetStreamContext]:
    """A connection as the administrator. Raises Failure, which shows no password."""
    try:
        client = await at.connected()
    except NATS_ERRORS as error:
        raise cannot_use(NATS, at.url, why(error)) from None
    try:
        yield client.jetstream()
    except NATS_ERRORS as error:
        raise Failure(f"NATS: {redacted(why(error), at.url)}; is this the administrator's address?") from None
    finally:
        await leave(client)
