"""The session's cookie in a real browser, over plain HTTP on this machine: signing in at a real provider and out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from services.cli.up.embedded import free_port
from shared.identity.credentials import COOKIE
from tests.browser.conftest import Up
from tests.browser.test_signing_in import fill_in
from tests.support.identity import Provider


@contextmanager
def signing_in(directory: Path, provider: Provider, host: str) -> Iterator[str]:
    """A `hourbook up` at http://{host}, where people sign in at the provider with the client of its own address."""
    port, client = free_port(), f"chromium-{host}"
    url = f"http://{host}:{port}"
    provider.client(client, client, redirect=f"{url}/sign-in/iam/callback")
    (directory / "secret").write_text(provider.secrets[client])
    more = f'client_id = "{client}"\nclient_secret_file = "secret"\n'
    (directory / "auth.toml").write_text(provider.auth_file() + more)
    settings = {} if host == "127.0.0.1" else {"HOURBOOK_PUBLIC_URL": url}  # its own address needs no setting
    up = Up(directory, "--auth", str(directory / "auth.toml"), port=port, **settings)
    try:
        yield url
    finally:
        up.stop()


def ours(context: BrowserContext) -> list[Any]:
    """The cookies of Hourbook. The provider has the same host, and cookies do not know of ports."""
    return [cookie for cookie in context.cookies() if cookie["name"].startswith("__Host-hourbook")]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_browser_keeps_and_sends_the_cookie_without_https_on_this_machine(
    browser: Browser, provider: Provider, tmp_path: Path, host: str
) -> None:
    user = f"chromium-{host.partition('.')[0]}"
    provider.user(user)
    with signing_in(tmp_path, provider, host) as url, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{url}/sign-in/iam?to=/")
        fill_in(page, user)
        expect(page).to_have_url(f"{url}/")
        (cookie,) = ours(context)
        assert (cookie["name"], cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (COOKIE, True, True, "Lax")
        assert COOKIE not in page.evaluate("document.cookie")
        assert page.evaluate("fetch('/me').then(answer => answer.json())")["id"] == f"iam:{user}"
        assert page.evaluate("fetch('/sign-out', {method: 'POST'}).then(answer => answer.status)") == 200
        assert ours(context) == []
        assert page.evaluate("fetch('/me').then(answer => answer.status)") == 401
        cross = httpx.post(f"{url}/sign-out", headers={"Origin": "https://evil.example", "Cookie": f"{COOKIE}=x"})
        assert (cross.status_code, cross.json()["code"]) == (403, "cross_site")
