"""The page in Debian's Chromium, against `hourbook up`: one system for the session, a project for each test."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from services.cli.up.embedded import free_port
from shared.identity.credentials import COOKIE
from tests.browser.house import House
from tests.support.clock import wait_for_midnight
from tests.support.identity import Provider
from tests.support.running import until

CHROMIUM = Path(os.environ.get("HOURBOOK_TEST_CHROMIUM", "/usr/bin/chromium"))
# A browser that speaks to nobody but the page's address; as root it has no sandbox.
FLAGS = [
    "--no-sandbox",
    "--lang=en-US",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]
WAIT_S = 60.0
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)
ZONE = "Europe/London"
HENRIETTA = {"X-Hourbook-Actor": "Henrietta"}
_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not CHROMIUM.exists():
        reason = f"there is no {CHROMIUM}: apt-get install chromium, or set HOURBOOK_TEST_CHROMIUM"
        missing = pytest.mark.skip(reason=reason)
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(missing)


@pytest.fixture(autouse=True)
def one_day() -> None:
    """No test runs across midnight: it would say today twice, and mean two days."""
    wait_for_midnight(within_s=60)


class Up:
    """A `hourbook up --ephemeral`, with these options and settings."""

    def __init__(self, directory: Path, *options: str, port: int | None = None, **settings: str) -> None:
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._output = directory / f"up-{port}.log"
        ours = ("HOURBOOK_", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.cli", "up", "--ephemeral", "--port", str(port), *options],
                stdout=output,
                stderr=output,
                env={**environment, **settings},
            )
        deadline = time.monotonic() + WAIT_S
        while "Hourbook runs at" not in self._output.read_text():
            assert self._process.poll() is None, self._output.read_text()
            assert time.monotonic() < deadline, self._output.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(WAIT_S)


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("up"))
    yield up
    up.stop()


@pytest.fixture(scope="session")
def house(own_directory: Path, provider: Provider) -> Iterator[House]:
    """A system where people sign in, one for the session."""
    house = House(own_directory / "house", provider)
    yield house
    house.stop()


# Playwright's own event loop counts as running until it ends: nothing that needs one could run after these tests.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


class Project:
    """A project of the test's own, and another person's hand in it: everything here happens over HTTP."""

    def __init__(self, url: str, project: str, headers: Mapping[str, str] = HENRIETTA) -> None:
        self.url, self.id = url, project
        self._client = httpx.Client(base_url=url, timeout=WAIT_S, headers=headers)

    def close(self) -> None:
        self._client.close()

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self._client.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def grant(self, start: datetime, end: datetime, **capacity: int) -> dict[str, Any]:
        return self.post("/resources/create", project=self.id, startdate=iso(start), enddate=iso(end), **capacity)

    def book(
        self, account: str, start: datetime, end: datetime, pool: str | None = None, **amount: Any
    ) -> dict[str, Any]:
        where = {"project": self.id} if pool is None else {"clusterid": pool}
        return self.post("/bookings/create", account=account, startdate=iso(start), enddate=iso(end), **where, **amount)

    def bookings(self, start: datetime, end: datetime) -> list[dict[str, Any]]:
        head = self._client.get("/health").json()["head"]  # what the page has just booked is among them
        span = {"project": self.id, "range": f"{iso(start)},{iso(end)}", "min_position": head}
        answer = self._client.get("/bookings/select", params=span)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])


@contextmanager
def new_project(url: str, project: str, headers: Mapping[str, str] = HENRIETTA, **more: Any) -> Iterator[Project]:
    """A project with 100 cores and 200 GiB from last month until next year. `more` are fields of its creation."""
    made = Project(url, project, headers)
    made.post("/projects/create", id=project, **more)
    made.grant(midnight(-40), midnight(400), servers=10, cores=100, memory=200 * 1024)
    yield made
    made.close()


@pytest.fixture
def project(up: Up) -> Iterator[Project]:
    over = {"beyond_hours": 336}
    with new_project(up.url, f"project-{next(_numbers)}", name="Gaia science platform", overcommit=over) as project:
        yield project


def midnight(days: int) -> datetime:
    """00:00 UTC so many days from today."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)


def noon_tomorrow() -> datetime:
    """12:00 UTC tomorrow. At a page with this clock, the day and the month have many hours left, whatever the time is
    here. It is ahead of the services' clock, so the next whole hour of the page is never in their past."""
    return midnight(1) + timedelta(hours=12)


def iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


class Visitor:
    """A person at the page. What the console says against them, and every script's error, fails the test."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.may_be_signed_out = False  # then a browser complains of every 401, and that is no mistake of the page
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        url = message.location.get("url", "")
        is_401 = "status of 401" in message.text and (self.may_be_signed_out or url == f"{self.url}/me")
        is_theirs = "status of 404" in message.text and not url.startswith(self.url)  # the issuer's page lacks a font
        if message.type in ("error", "warning") and not is_401 and not is_theirs:
            self.complaints.append(f"{message.text} {url}")

    def open(self, **address: str) -> Page:
        """Opens the page when the read models show all that is stored."""
        until(lambda: is_level(self.url))
        query = "&".join(f"{name}={value}" for name, value in address.items())
        self.page.goto(f"{self.url}/?{query}")
        return self.page


def is_level(url: str) -> bool:
    health = httpx.get(f"{url}/health", timeout=WAIT_S).json()
    return bool(health["position"] == health["head"])


@pytest.fixture
def visitors(browser: Browser, up: Up) -> Iterator[Any]:
    """`visitors(scheme="dark", width=390)`: as many people as the test wants. `now` stops the clock of a person's
    page at that moment. `cookie` is the session of somebody who has signed in."""
    opened: list[Visitor] = []

    def visitor(
        scheme: Any = "light",
        width: int = 1440,
        height: int = 900,
        url: str = up.url,
        now: datetime | None = None,
        cookie: str | None = None,
        **more: Any,
    ) -> Visitor:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            timezone_id=ZONE,
            locale="en-GB",
            reduced_motion="reduce",
            **more,
        )
        context.grant_permissions([])
        if cookie is not None:
            secure = url.replace("http:", "https:")  # as a browser holds it: the loopback address counts as secure
            context.add_cookies([{"name": COOKIE, "value": cookie, "url": secure, "secure": True, "httpOnly": True}])
        if now is not None:
            context.clock.set_fixed_time(now)
        opened.append(Visitor(context, url))
        return opened[-1]

    yield visitor
    complaints = [complaint for visitor in opened for complaint in visitor.complaints]
    for each in opened:
        each.context.close()
    assert complaints == []


@pytest.fixture
def visitor(visitors: Any) -> Visitor:
    return visitors()
