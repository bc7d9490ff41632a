"""A `hourbook up` where people sign in: with an OpenID Connect provider, or with a token."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from services.cli.up.directory import DataDirectory
from shared.identity.credentials import COOKIE
from shared.identity.roles import Limit
from tests.support.identity import Provider
from tests.support.running import Running
from tests.support.signed_in import ADMIN, auth_file, signed_in, with_token

ISSUER = "iam"
TITLE = "The house"
CLIENT = "hourbook-in-browsers"
WAIT_S = 30.0
_numbers = count(1)


class House:
    """`egi:root` is the admin of the ledger. `egi` has no address: its people get their sessions by `person`."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        folder.mkdir(mode=0o711)
        self.provider = provider
        provider.client(CLIENT, CLIENT)
        (folder / "secret").write_text(provider.secrets[CLIENT])
        client = f'client_id = "{CLIENT}"\nclient_secret_file = "{folder}/secret"\ntitle = "{TITLE}"\n'
        file = auth_file(folder, more=provider.auth_file(ISSUER) + client)
        self._data = folder / "data"
        self._up = Running(folder / "output", "--data-dir", str(self._data), HOURBOOK_AUTH_FILE=file).ready()
        self.url = self._up.url
        self._redirect_here()

    def stop(self) -> None:
        self._up.stop()

    def _redirect_here(self) -> None:
        server = self.provider.server
        with server.app.app_context():
            client = server.backend.get(server.models.Client, client_id=CLIENT)
            client.redirect_uris = [f"{self.url}/sign-in/{ISSUER}/callback"]
            client.post_logout_redirect_uris = [f"{self.url}/"]
            server.backend.save(client)

    @property
    def database_url(self) -> str:
        run = DataDirectory(self._data).read_run()
        assert run is not None
        return run.database_urls["command"]

    def person(self, name: str, *groups: str) -> dict[str, str]:
        """The headers of a person `egi:<name>` who has signed in, and whom the directory knows as `Name Surname`."""
        return beside(signed_in(self.database_url, f"egi:{name}", groups, f"{name.title()} Surname"))

    def cookie(self, name: str, *groups: str) -> str:
        """The session of a person who has signed in, for a browser."""
        return self.person(name, *groups)["Cookie"].removeprefix(f"{COOKIE}=")

    def token(self, *limits: Limit) -> str:
        """A token of the operator's."""
        return beside(with_token(self.database_url, *limits))["Authorization"].removeprefix("Bearer ")

    def root(self) -> Mapping[str, str]:
        return beside(signed_in(self.database_url, ADMIN, (), "Root Surname"))

    def get(self, path: str, headers: Mapping[str, str], **query: Any) -> httpx.Response:
        return httpx.get(self.url + path, params=query, headers=headers, timeout=WAIT_S)


def beside(work: Coroutine[Any, Any, dict[str, str]]) -> dict[str, str]:
    """Awaits it in a thread of its own: in this one, Playwright's event loop is running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def somebody(name: str) -> str:
    """A name that nobody else has in this session."""
    return f"{name}{next(_numbers)}"
