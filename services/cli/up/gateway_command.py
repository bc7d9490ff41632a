"""`hourbook gateway`: the one address alone, in front of services that run elsewhere, each as often as one likes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta
from yarl import URL

from services.cli.failure import Failure
from services.cli.up.address import LOOPBACK, Address, address_of, listening
from services.cli.up.gateway import Gateway
from services.cli.up.resolving import Resolving
from shared import tracing
from shared.http.owners import COMMAND, PROJECTOR, QUERY
from shared.process import log_and_trace
from shared.settings import settings_from
from shared.tasks import end_tasks


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`HOURBOOK_COMMAND_URLS`, `…_QUERY_URLS`, `…_PROJECTOR_URLS` (where the processes of each service listen, such as
    `http://10.0.0.7:8081`, separated by commas; a name with several addresses is several processes), `HOURBOOK_HOST`,
    `HOURBOOK_GATEWAY_PORT`, and those of ServerSettings.
    """

    command_urls: str
    query_urls: str
    projector_urls: str = ""
    host: str = LOOPBACK
    gateway_port: Annotated[int, Meta(ge=1, le=65535)] = 8080


def gateway() -> None:
    log_and_trace("gateway")
    try:
        settings = settings_from(os.environ, Settings)
    except msgspec.ValidationError as error:
        raise Failure(f"a setting HOURBOOK_… is missing or wrong: {error}") from None
    urls = {service: urls_from(service, text) for service, text in texts(settings).items()}
    address = address_of(os.environ, settings.host, settings.gateway_port, None, None, None)
    with listening(settings.host, settings.gateway_port) as taken:
        asyncio.run(serve(urls, address, taken))


async def serve(urls: Mapping[str, Sequence[str]], address: Address, taken: socket.socket) -> None:
    """Passes requests on until SIGTERM or SIGINT."""
    names = Resolving(urls)
    await names.look()
    looking = asyncio.create_task(names.run())
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    running = Gateway(names.urls_of, entrance=address.entrance, signed_in=address.issuers is not None)
    await running.start(taken)
    await stop.wait()
    await end_tasks(looking)
    await running.stop()
    tracing.end()


def texts(settings: Settings) -> Mapping[str, str]:
    return {COMMAND: settings.command_urls, QUERY: settings.query_urls, PROJECTOR: settings.projector_urls}


def urls_from(service: str, text: str) -> list[str]:
    """The addresses in a setting. Raises Failure, which names the setting."""
    variable = f"HOURBOOK_{service.upper()}_URLS"
    found = [url.strip().rstrip("/") for url in text.split(",") if url.strip()]
    if not found and service != PROJECTOR:
        raise Failure(f"{variable} is empty: name where the {service} service listens, as http://10.0.0.7:8081")
    for url in found:
        if not is_base_url(url):
            raise Failure(f"{variable}: {url!r} is not an address such as http://10.0.0.7:8081, without a path")
    return found


def is_base_url(text: str) -> bool:
    try:
        url = URL(text)
        return url.scheme in ("http", "https") and bool(url.host) and url == url.origin()
    except ValueError:
        return False
