"""The database and NATS that the environment names: read, checked, and shown without their passwords."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import asyncpg
from nats.aio.client import Client

from services.cli.failure import Failure
from shared import postgres
from shared.errors import words_of
from shared.jetstream import NATS_LOST, leave
from shared.nats_server import NatsClient, NatsFiles, server_at, why
from shared.postgres import LOST_OR_REFUSED
from shared.settings import settings_from

DATABASE, NATS = "HOURBOOK_DATABASE_URL", "HOURBOOK_NATS_URL"
CONNECT_TIMEOUT_S = 5.0
NEXT_TIMEOUT_S = 2.0  # for one of several servers, before the next one is tried
PASSWORD = re.compile(r"(?<=:)[^:/@]+(?=@)|(?<=[?&]password=)[^&]+")
# A user without a password is a token of NATS, and as secret as a password.
TOKEN = re.compile(r"(?:(?<=nats://)|(?<=tls://)|(?<=wss://)|(?<=ws://))[^:/@,]+(?=@)")
NEXT_SERVER = re.compile(r",(?=\w+://)")
NATS_ERRORS = (*NATS_LOST, ValueError)


class Servers(NamedTuple):
    """The addresses of the database and of NATS. `nats_urls`: that of each service, if each has a user of its own."""

    database_url: str
    nats_url: str
    nats_urls: Mapping[str, str] | None = None


def servers_from(environment: Mapping[str, str]) -> Servers | None:
    """The servers that the environment names; None when it names none. Raises Failure when it names one of the two."""
    database_url, nats_url = environment.get(DATABASE, ""), environment.get(NATS, "")
    if bool(database_url) != bool(nats_url):
        given, missing = (DATABASE, NATS) if database_url else (NATS, DATABASE)
        raise Failure(
            f"{given} is set and {missing} is not: set both to use your own servers, or none to use the embedded ones"
        )
    return Servers(database_url, nats_url) if database_url else None


async def check(servers: Servers) -> None:
    """Connects to both. Raises Failure, which names the variable that is wrong and what its server answered."""
    await check_database(servers.database_url)
    await check_nats(servers.nats_url)


async def check_database(url: str) -> None:
    try:
        connection = await postgres.connect(url)
    except asyncpg.InvalidCatalogNameError:
        return  # the migrations create the database
    except (*LOST_OR_REFUSED, ValueError) as error:
        raise cannot_use(DATABASE, url, words_of(error)) from None
    await connection.close(timeout=CONNECT_TIMEOUT_S)


async def check_nats(url: str) -> None:
    try:
        client = await connect_nats(url)
    except NATS_ERRORS as error:
        raise cannot_use(NATS, url, why(error)) from None
    try:
        await client.jetstream().account_info()
    except NATS_ERRORS as error:
        raise Failure(
            f"{NATS}: the server {without_password(url)} has no JetStream, or does not let this user ask: "
            f"{words_of(error)}. `hourbook nats-config --one-user` has a user who may do what all services need"
        ) from None
    finally:
        await leave(client)


async def connect_nats(url: str) -> Client:
    """Connects to the first server that answers, or raises one of NATS_ERRORS: that of the last server. The environment
    names the files, such as HOURBOOK_NATS_CA_FILE."""
    options = server_at(url, settings_from(os.environ, NatsFiles)).options()
    *others, last = options["servers"]
    for server in others:
        with contextlib.suppress(*NATS_ERRORS):
            return await _connected({**options, "servers": [server]}, NEXT_TIMEOUT_S)
    return await _connected({**options, "servers": [last]}, CONNECT_TIMEOUT_S)


async def _connected(options: dict[str, Any], timeout_s: float) -> Client:
    with contextlib.suppress(ConnectionResetError):  # sometimes it comes before the reason why it was refused
        return await _connected_once(options, timeout_s)
    return await _connected_once(options, timeout_s)


async def _connected_once(options: dict[str, Any], timeout_s: float) -> Client:
    """Connects once. Without `give_up` the client would try to connect for ever."""

    async def give_up(error: Exception) -> None:
        if not client.is_connected:  # later, an error says what the server has refused; then no answer comes
            raise error

    client = NatsClient()
    try:
        async with asyncio.timeout(timeout_s):
            await client.connect(**options, connect_timeout=int(timeout_s), allow_reconnect=False, error_cb=give_up)
    except BaseException:
        await leave(client)
        raise
    return client


def without_password(url: str) -> str:
    """The address with `***` in place of the password; only its scheme when it is not a valid address."""
    if "://" not in url:  # NATS takes such an address
        return without_password(f"nats://{url}").removeprefix("nats://")
    if NEXT_SERVER.search(url):
        return ",".join(map(without_password, NEXT_SERVER.split(url)))
    url = TOKEN.sub("***", url)
    try:
        parts = urlsplit(url)
        user, at, host = parts.netloc.rpartition("@")
        if "@" in f"{parts.path}{parts.fragment}":  # a password with a / or a # in it
            raise ValueError(url)
    except ValueError:
        return f"{url.partition(':')[0]}://…"
    if "password=" in parts.query:
        parts = parts._replace(query="…")
    return parts._replace(netloc=f"{user.partition(':')[0]}{':***' if ':' in user else ''}{at}{host}").geturl()


def redacted(message: str, url: str) -> str:
    """`message` without the password of `url`, also where the password is percent-encoded or decoded."""
    message = message.replace(url, without_password(url))
    for password in (*PASSWORD.findall(url), *TOKEN.findall(url if "://" in url else f"nats://{url}")):
        for secret in (password, unquote(password), quote(unquote(password), safe="")):
            message = message.replace(secret, "***")
    return message


def migrations_failed(error: Exception, url: str) -> Failure:
    """The failure to show when the migrations of the database at `url` failed."""
    message = redacted(str(error), url)
    hint = "; add ?sslmode=disable to it" if "SSL is not enabled" in message else ""
    return Failure(f"{DATABASE}: the migrations failed: {message}{hint}")


def cannot_use(variable: str, url: str, reason: str) -> Failure:
    """The failure to show when a variable's address does not work. It shows no password."""
    return Failure(f"{variable}: cannot use {without_password(url)}: {redacted(reason, url)}")
