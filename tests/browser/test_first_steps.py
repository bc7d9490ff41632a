"""An empty system: the page itself says what to do first, and a newcomer does it there."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Up, noon_tomorrow


@pytest.fixture
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("empty"))
    yield up
    up.stop()


def test_a_newcomer_goes_from_nothing_to_a_booking(empty: Up, visitors: Any) -> None:
    page = visitors(url=empty.url, now=noon_tomorrow()).open()
    expect(page.get_by_role("heading", name="Nothing is here yet")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("Gaia Science Platform")
    expect(page.get_by_label("Short name", exact=True)).to_have_value("gaia-science-platform")
    page.get_by_role("button", name="Create the project").click()

    page.get_by_role("form", name="Grant capacity to gaia-science-platform").wait_for()
    page.get_by_label("Servers", exact=True).fill("8")
    page.get_by_label("Cores", exact=True).fill("64")
    page.get_by_label("Memory, GiB", exact=True).fill("256")
    expect(page.get_by_text("This can be done.")).to_be_visible()
    page.get_by_role("button", name="Grant it").click()
    expect(page.get_by_text("It is granted.")).to_be_visible()
    expect(page.get_by_role("region", name="Grants")).to_contain_text("8 servers, 64 cores, 256 GiB of memory")

    page.get_by_role("link", name="Calendar", exact=True).click()
    today = page.locator(".cell.now")
    expect(today).to_contain_text("64")
    page.get_by_label("Account", exact=True).fill("astronomer")
    page.get_by_label("Cores", exact=True).fill("24")
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_text("Booked.", exact=True)).to_be_visible()
    expect(today).to_contain_text("40")
    expect(page.get_by_label("Your name, kept in the history")).to_be_visible()
