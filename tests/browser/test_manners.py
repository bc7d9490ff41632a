"""For everybody: by keyboard, read aloud, in light and dark, on a phone, in any zone; and a link shows the same."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Project, Visitor, iso, midnight
from tests.browser.test_calendar import address, cell_of, day

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
INTERFACE_MS = 60_000  # Swagger UI resolves the whole document first: a second, ten where others use the machine
VIEWS = [
    {},
    {"scale": "year"},
    {"scale": "week"},
    {"scale": "day"},
    {"table": "calendar"},
    {"table": "timeline"},
    {"view": "free"},
    {"view": "free", "ahead": "day"},
    {"view": "bookings"},
    {"view": "bookings", "group": "cluster"},
    {"view": "accounts", "account": "spark"},
    {"view": "conflicts"},
    {"view": "history"},
    *({"view": "setup", "form": form} for form in ("project", "grant", "cluster", "resize", "template", "account")),
]


def settled(page: Page) -> None:
    """All that the view asked for has come."""
    page.locator(".bottom .live.live").wait_for()
    expect(page.locator("[aria-busy]")).to_have_count(0)


def findings(page: Page) -> list[str]:
    """What axe finds serious. Colours are looked at where nothing moves any more."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.fixture
def busy(project: Project) -> Project:
    cluster = project.post(
        "/clusters/create",
        parent=project.id,
        name="k8s",
        startdate=iso(midnight(-1)),
        enddate=iso(midnight(60)),
        servers=4,
        cores=20,
        memory=1024,
    )["id"]
    project.post("/templates/create", project=project.id, name="small", cores=4)
    for number in range(10):
        account = f"account-{number % 7}"
        project.book(account, midnight(number * 2 - 8), midnight(number * 2 - 5), cores=5 + 3 * number)
    project.book("spark", midnight(15), midnight(19), servers=12, cores=80, memory=300 * 1024)
    project.book("spark", midnight(2), midnight(3), pool=cluster, share="20%")
    return project


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(busy: Project, visitors: Any, scheme: str) -> None:
    visitor = visitors(scheme=scheme)
    found = []
    for view in VIEWS:
        settled(visitor.open(**address(busy, 15, **view)))
        found += [f"{view}: {finding}" for finding in findings(visitor.page)]
    assert found == []


@pytest.mark.parametrize("view", ["calendar", "free", "bookings", "accounts", "conflicts", "history", "setup"])
def test_a_phone_shows_it_without_sideways_scrolling(busy: Project, visitors: Any, view: str) -> None:
    visitor = visitors(width=390, height=844, has_touch=True, is_mobile=True)
    page = visitor.open(**address(busy, 15, view=view))
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert findings(page) == []


def test_a_tap_chooses_and_leads_to_the_form(project: Project, visitors: Any) -> None:
    page = visitors(width=390, height=844, has_touch=True, is_mobile=True).open(**address(project, 3))
    cell_of(page, day(3)).tap()
    expect(cell_of(page, day(3))).to_have_attribute("aria-pressed", "true")
    page.get_by_role("link", name=f"Book {day(3)}").tap()
    expect(page.get_by_label("Account", exact=True)).to_be_in_viewport()


def test_by_keyboard_alone(project: Project, visitor: Visitor) -> None:
    page = visitor.open(**address(project, 10, scale="week", grain="day"))
    cell = page.locator('.cell[tabindex="0"]')
    cell.focus()
    for key in ("Home", "ArrowRight", "Space", "Shift+ArrowRight"):
        page.keyboard.press(key)
    expect(page.locator('.cell[aria-pressed="true"]')).to_have_count(2)
    while page.evaluate("document.activeElement.name") != "account":
        page.keyboard.press("Tab")
    page.keyboard.type("spark")
    while page.evaluate("document.activeElement.name") != "cores":
        page.keyboard.press("Tab")
    page.keyboard.type("60")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Booked.", exact=True)).to_be_visible()
    expect(page.locator('.cell[aria-pressed="true"] .figure')).to_have_text(["40", "40"])


def test_times_are_the_viewers_and_utc_is_a_click_away(project: Project, visitors: Any) -> None:
    summer = midnight(0).replace(month=7, day=1)
    booking = summer if summer > midnight(0) else summer.replace(year=summer.year + 1)
    project.book("spark", booking, booking.replace(hour=1), cores=1)
    page = visitors().open(pool=project.id, view="bookings", date=booking.strftime("%Y-%m-%d"))
    row = page.get_by_role("row").filter(has_text="spark")
    expect(row).to_contain_text("01:00")  # London is an hour ahead in summer
    page.get_by_role("button", name="Times are in London").click()
    expect(row).to_contain_text("00:00")
    assert "tz=UTC" in page.url


def test_a_link_shows_another_person_the_same(project: Project, visitors: Any) -> None:
    project.book("spark", midnight(3), midnight(4), cores=30)
    page = visitors().open(**address(project, 3))
    page.get_by_label("What is shown").select_option("memory")
    page.get_by_role("button", name="Week", exact=True).click()
    page.get_by_label("Grain").select_option("day")
    cell_of(page, day(3)).click()
    page.get_by_role("region", name="Booked in these hours").get_by_role("button", name="spark").click()
    other = visitors().page
    other.goto(page.url)
    for each in (page, other):
        expect(cell_of(each, day(3))).to_have_attribute("aria-pressed", "true")
        expect(cell_of(each, day(3)).locator(".figure")).to_have_text("200 GiB")
        expect(each.get_by_role("region", name="Booking", exact=True)).to_contain_text("30 cores")


def test_light_and_dark_are_chosen_and_kept(project: Project, visitor: Visitor) -> None:
    page = visitor.open(**address(project))
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark colours").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.reload()
    expect(page.get_by_role("button", name="Light colours")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_the_interface_is_shown_by_the_same_address(visitor: Visitor) -> None:
    page = visitor.open()
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(request.url))
    page.get_by_role("link", name="HTTP interface").click()
    for path in ("/available/select", "/bookings/create"):  # of both services
        expect(page.locator(f"[data-path='{path}']")).to_be_visible(timeout=INTERFACE_MS)
    assert [url for url in asked if not url.startswith((visitor.url, "data:"))] == []


@pytest.mark.parametrize("path", ["/schema", "/schema/command"])
def test_the_interface_is_shown_with_nothing_that_its_policy_forbids(visitor: Visitor, path: str) -> None:
    visitor.page.goto(visitor.url + path)
    visitor.page.locator(".opblock-summary").first.click(timeout=INTERFACE_MS)
    visitor.page.get_by_role("button", name="Try it out").first.wait_for(timeout=INTERFACE_MS)
