"""Signing in and out on the page, with a real OpenID Connect provider."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from litestar.testing import AsyncTestClient

from services.command.app import create_app as create_command
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app as create_query
from services.query.settings import Settings as QuerySettings
from shared.identity.credentials import COOKIE
from tests.support.browser_sign_in import PUBLIC, Browser, cookies_of, sign_in
from tests.support.identity import Provider


class Page(NamedTuple):
    command: AsyncTestClient[Any]
    query: AsyncTestClient[Any]

    def browser(self) -> Browser:
        return Browser(self.command)


@pytest.fixture
async def page(database_url: str, tmp_path: Path, provider: Provider) -> AsyncIterator[Page]:
    """The services, where people sign in with `iam`."""
    client = provider.client("hourbook-page", "hourbook-page", redirect=f"{PUBLIC}/sign-in/iam/callback")
    (tmp_path / "secret").write_text(provider.secrets[client])
    file = tmp_path / "auth.toml"
    more = f'client_id = "{client}"\nclient_secret_file = "{tmp_path}/secret"\ntitle = "The house"\n'
    more += 'scopes = ["openid", "profile", "email", "groups"]\n'
    file.write_text(provider.auth_file() + more)
    async with contextlib.AsyncExitStack() as stack:
        settings = {"database_url": database_url, "auth_file": str(file)}
        command = create_command(CommandSettings(**settings, public_url=PUBLIC))
        query = create_query(QuerySettings(**settings))
        yield Page(
            await stack.enter_async_context(AsyncTestClient(command, base_url=PUBLIC)),
            await stack.enter_async_context(AsyncTestClient(query, base_url=PUBLIC)),
        )


async def test_who_signs_in_at_the_issuer_has_a_session(page: Page, provider: Provider) -> None:
    provider.user("hedy", "astronomers")
    browser = page.browser()
    answer = await sign_in(browser, "hedy", to="/projects/x")
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == f"{PUBLIC}/projects/x"
    assert cookies_of(answer)[COOKIE][1] > 11 * 3600
