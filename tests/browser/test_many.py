"""Thousands of bookings are drawn as load, with few requests; when they are few, one by one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, is_level
from tests.browser.house import House, beside, somebody
from tests.browser.test_manners import findings, settled
from tests.support.grid import ACCOUNTS, BOOKINGS, CLUSTERS, Grid, fill_grid
from tests.support.running import until

SHOWN_WITHIN_S = 60
NODES_MAX = 6_000  # a bar and a row of the table for each booking of the month would be a hundred thousand


@pytest.fixture(scope="module")
def grid(house: House) -> str:
    """The id of a project with 20,000 bookings in 159 clusters."""
    project = somebody("grid")

    async def fill() -> dict[str, Any]:
        grid: Grid = await fill_grid(house.database_url, project)
        return {"accounts": grid.accounts}

    beside(fill())
    until(lambda: is_level(house.url), bound_s=SHOWN_WITHIN_S)
    return project


class Heard:
    """The reads that the page sends."""

    def __init__(self, page: Page) -> None:
        self.paths: list[str] = []
        page.on("request", lambda request: self.paths.append(request.url.partition("?")[0].rpartition("/bookings")[2]))

    def count(self, path: str) -> int:
        return sum(one == path for one in self.paths)


def at_the_grid(house: House, visitors: Any, **more: Any) -> Visitor:
    visitor: Visitor = visitors(url=house.url, cookie=house.cookie("root"), **more)
    return visitor


def nodes(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('main *').length"))


def test_a_month_of_thousands_is_load_that_two_requests_fetch(house: House, grid: str, visitors: Any) -> None:
    visitor = at_the_grid(house, visitors)
    heard = Heard(visitor.page)
    page = visitor.open(pool=grid, view="bookings", group="cluster", tz="UTC")
    load = page.get_by_role("group", name="How much is booked over time")
    expect(load.get_by_role("heading", level=2)).to_have_count(CLUSTERS)
    assert (heard.count("/select"), heard.count("/load")) == (1, 1)
    assert page.locator(".gantt-bar").count() == 0
    assert nodes(page) < NODES_MAX
    band = load.get_by_role("button", name=re.compile(rf"^{grid}\.site-007: \d+ bookings, at most \d+ cores at once, "))
    band.focus()
    expect(page.locator(".readout p").first).to_contain_text(f"{grid}.site-007")
    settled(page)
    assert findings(page) == []


def test_who_looks_closer_sees_the_bookings_one_by_one(house: House, grid: str, visitors: Any) -> None:
    page = at_the_grid(house, visitors).open(pool=grid, view="bookings", tz="UTC")
    load = page.get_by_role("group", name="How much is booked over time")
    expect(load.get_by_role("heading", level=2)).to_have_count(ACCOUNTS)
    page.get_by_role("button", name="By cluster").click()
    load.get_by_role("link", name=f"{grid}.site-007").click()
    gantt = page.get_by_role("group", name="Bookings over time")
    expect(gantt.locator(".gantt-bar").first).to_be_visible()
    few = gantt.locator(".gantt-bar").count()
    assert 20 < few < BOOKINGS / CLUSTERS * 3
    page.get_by_role("group", name="Scale").get_by_role("button", name="Day").click()
    expect(gantt.locator(".gantt-bar")).not_to_have_count(few)
    gantt.locator(".gantt-bar").first.click()
    expect(page.get_by_role("region", name="Booking", exact=True)).to_contain_text(f"{grid}.site-007")


def test_the_keyboard_goes_to_the_busiest_time_and_the_list_has_pages(house: House, grid: str, visitors: Any) -> None:
    visitor = at_the_grid(house, visitors, width=390, scheme="dark")
    page = visitor.open(pool=grid, view="bookings", tz="UTC")
    rows = page.get_by_role("region", name="Bookings as a list").get_by_role("table").locator("tbody tr")
    expect(rows).to_have_count(50)
    first = rows.nth(0).inner_text()
    pages = page.get_by_role("navigation", name="Pages of the list")
    heard = Heard(page)
    for _ in range(8):  # a chunk has 400
        pages.get_by_role("button", name="After").click()
    expect(rows.nth(0)).not_to_have_text(first)
    expect(pages.get_by_role("button", name="Before")).to_be_enabled()
    expect(rows).to_have_count(50)
    assert heard.count("/select") == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    band = page.get_by_role("button", name=re.compile(r"^vo-01: .* Look closer"))
    band.press("Enter")
    expect(page.get_by_role("group", name="Scale").get_by_role("button", name="Week")).to_have_attribute(
        "aria-pressed", "true"
    )
