"""The page's sign-in for tests: both services in this process, and browsers whose sessions tokens have begun."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
from litestar.testing import AsyncTestClient

from services.command.app import create_app as create_command
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app as create_query
from services.query.settings import Settings as QuerySettings
from shared.identity.credentials import COOKIE
from tests.support.backends import connected
from tests.support.browser_sign_in import PUBLIC, Browser
from tests.support.signed_in import ADMIN, signed_in

ENDED_S = 5.0


class Page(NamedTuple):
    """The services, each with a memory of its own, and their database."""

    command: AsyncTestClient[Any]
    query: AsyncTestClient[Any]
    url: str

    async def sign_in(self, token: str) -> Browser:
        """A browser whose session the token began."""
        browser = Browser(self.command)
        answer = await browser.post("/sign-in/token", {"token": token})
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert token not in answer.text
        return browser

    async def me(self, browser: Browser) -> httpx.Response:
        """What the query service says of the browser's session."""
        return await self.query.get("/me", headers={"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"})

    async def execute(self, statement: str, *arguments: Any) -> Any:
        async with connected(self.url) as connection:
            return await connection.fetch(statement, *arguments)

    async def ended(self, browser: Browser) -> None:
        """Waits until the query service takes the session no more, for as long as that may take."""
        async with asyncio.timeout(ENDED_S):
            while (await self.me(browser)).status_code != 401:
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def opened(database_url: str, file: str) -> AsyncIterator[Page]:
    """The services with this auth file, in which `egi:root` is the admin of the ledger, and the projects gaia and
    euclid."""
    async with contextlib.AsyncExitStack() as stack:
        command = create_command(CommandSettings(database_url=database_url, auth_file=file, public_url=PUBLIC))
        query = create_query(QuerySettings(database_url=database_url, auth_file=file))
        page = Page(
            await stack.enter_async_context(AsyncTestClient(command, base_url=PUBLIC)),
            await stack.enter_async_context(AsyncTestClient(query, base_url=PUBLIC)),
            database_url,
        )
        root = await signed_in(database_url, ADMIN)
        for project in ("gaia", "euclid"):
            body = {"id": project, "name": project}
            assert (await page.command.post("/projects/create", json=body, headers=root)).status_code == 201
        yield page
