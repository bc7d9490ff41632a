"""Where projects and pools are many hundreds: the page draws a part of them, and finds the others by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from playwright.sync_api import Page, expect

from services.cli.up.directory import DataDirectory
from tests.bench.scale_ground import Size, fill
from tests.browser.conftest import is_level
from tests.browser.house import beside
from tests.browser.test_manners import findings, settled
from tests.support.running import Running, until

SIZE = Size(projects=150, pools=620, listed=0, bookings=0, live=0)
NODES_MAX = 2_000
SHOWN_WITHIN_S = 120
TREE = "Projects and clusters"


@pytest.fixture(scope="module")
def many(own_directory: Path) -> Iterator[str]:
    """The address of a ledger with 150 projects of four pools, and one of 620."""
    data = own_directory / "many"
    up = Running(own_directory / "many-output", "--data-dir", str(data)).ready()
    run = DataDirectory(data).read_run()
    assert run is not None

    async def filled() -> dict[str, str]:
        connection = await asyncpg.connect(run.database_urls["command"])
        await fill(connection, SIZE, datetime.now(UTC))
        await connection.close()
        return {}

    beside(filled())
    until(lambda: is_level(up.url), bound_s=SHOWN_WITHIN_S)
    yield up.url
    up.stop()


def drawn(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('nav.tree *, .pool-picker *').length"))


def test_many_projects_are_pages_and_are_found_by_keyboard(many: str, visitors: Any) -> None:
    page = visitors(url=many).open()
    tree = page.get_by_role("navigation", name=TREE)
    projects = tree.get_by_role("region", name="All projects").get_by_role("link")
    expect(projects).to_have_count(100)
    settled(page)
    assert drawn(page) < NODES_MAX
    assert findings(page) == []
    first = projects.nth(0).inner_text()
    tree.get_by_role("button", name="After").press("Enter")
    expect(projects.nth(0)).not_to_have_text(first)
    tree.get_by_role("button", name="Before").press("Enter")
    expect(projects.nth(0)).to_have_text(first)
    find = tree.get_by_role("searchbox", name="Find a project or cluster")
    find.focus()
    page.keyboard.type("p00077")
    expect(tree.get_by_role("link")).to_have_count(4)  # the project, and the three clusters in it
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"pool=p00077\.one"))
    expect(page.get_by_role("heading", name="Book p00077.one")).to_be_visible()
    find.fill("")
    expect(tree.get_by_role("link", name="one", exact=True)).to_have_attribute("aria-current", "page")
    expect(projects).to_have_count(100)
    find.fill("nothing of this name")
    expect(tree.get_by_role("status")).to_have_text("Nothing is called that.")


def test_a_link_into_a_project_of_many_pools_shows_its_pool(many: str, visitors: Any) -> None:
    last = "wide.site-006.k18"
    page = visitors(url=many, width=390, height=800).open(pool=last, view="setup", form="cluster", tz="UTC")
    expect(page.get_by_role("combobox", name="In", exact=True)).to_have_value(last)
    picker = page.get_by_role("combobox", name="Project or cluster")
    expect(picker).to_have_value(last)
    settled(page)
    assert drawn(page) < NODES_MAX
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tree = page.get_by_role("navigation", name=TREE)
    tree.get_by_role("searchbox").fill("site-003.k50")
    tree.get_by_role("link", name="wide.site-003.k50").click()
    expect(picker).to_have_value("wide.site-003.k50")


def test_a_link_to_a_project_that_is_not_there_shows_the_first_one(many: str, visitors: Any) -> None:
    visitor = visitors(url=many)
    page = visitor.open(pool="nobody", view="setup", form="grant")
    expect(page.get_by_role("heading", name="Grant capacity to full")).to_be_visible()
    expect(page).to_have_title("full · Hourbook")
    visitor.complaints.clear()  # a browser says each 404
