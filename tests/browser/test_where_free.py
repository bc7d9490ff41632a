"""Where is it free: a row a pool, a column a block. From a cell one books in its pool, and the figures follow."""

import re
from datetime import timedelta
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Project, Visitor, iso, midnight
from tests.browser.test_calendar import address, day


def where(project: Project, **more: str) -> dict[str, str]:
    return address(project, 1, view="free", **more)


def cell(page: Page, pool: str, words: str) -> Locator:
    return page.get_by_role("gridcell", name=re.compile(f"^{re.escape(pool)}, {words}: "))


def cluster(project: Project, name: str, cores: int) -> str:
    period = {"startdate": iso(midnight(-1)), "enddate": iso(midnight(60))}
    made = project.post("/clusters/create", parent=project.id, name=name, cores=cores, memory=1024, **period)
    return str(made["id"])


def booked_in(page: Page, pool: str) -> None:
    expect(page.get_by_role("heading", name=f"Book {pool}")).to_be_visible()
    page.get_by_label("Account", exact=True).fill("spark")
    page.get_by_label("Cores", exact=True).fill("5")
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_text("Booked.", exact=True)).to_be_visible()


def test_dragging_over_days_of_a_cluster_books_them_there(project: Project, visitors: Any) -> None:
    k8s = cluster(project, "k8s", 20)
    project.book("gaia", midnight(3) + timedelta(hours=9), midnight(3) + timedelta(hours=12), pool=k8s, cores=4)
    page, other = visitors().open(**where(project)), visitors().open(**where(project))
    expect(cell(page, project.id, day(3))).to_have_text("80")
    expect(cell(page, k8s, day(3))).to_have_accessible_name(
        f"{k8s}, {day(3)}: 16 cores free throughout, 20 in the best hour"
    )
    cell(page, k8s, day(4)).hover()
    page.mouse.down()
    cell(page, k8s, day(5)).hover()
    page.mouse.up()
    expect(page.locator('[role="gridcell"][aria-selected="true"]')).to_have_count(2)
    booked_in(page, k8s)
    for each in (page, other):
        for days, figure in ((3, "16"), (4, "15"), (5, "15"), (6, "20")):
            expect(cell(each, k8s, day(days))).to_have_text(figure)
        expect(cell(each, project.id, day(4))).to_have_text("80")
    other.goto(page.url)
    expect(other.locator('[role="gridcell"][aria-selected="true"]')).to_have_count(2)
    expect(other.get_by_role("heading", name=f"Book {k8s}")).to_be_visible()


def test_by_keyboard_one_reaches_every_pool_and_books(project: Project, visitor: Visitor) -> None:
    pools = [cluster(project, f"site-{number:02d}", 1) for number in range(60)]
    page = visitor.open(**where(project, ahead="month"))
    grid = page.get_by_role("grid")
    expect(grid).to_have_attribute("aria-rowcount", "62")
    expect(grid).to_have_attribute("aria-colcount", "36")
    grid.locator('[tabindex="0"]').focus()
    page.keyboard.press("Control+End")
    last = page.get_by_role("gridcell", name=re.compile(f"^{pools[-1]}, {day(35)}: "))
    expect(last).to_be_focused()
    expect(last).to_be_in_viewport()
    assert page.get_by_role("gridcell").count() < 61 * 35 / 2, "rows out of sight are in the page"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    expect(cell(page, pools[-2], day(1))).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator('[role="gridcell"][aria-selected="true"]')).to_have_count(2)
    expect(cell(page, pools[-2], day(2))).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Account", exact=True)).to_be_focused()
    expect(page.locator('[role="gridcell"][aria-selected="true"]')).to_have_count(2)
    expect(page.get_by_role("heading", name=f"Book {pools[-2]}")).to_be_visible()
    page.get_by_label("Find a pool").fill("site-07")
    expect(grid).to_have_attribute("aria-rowcount", "2")
    expect(page.get_by_role("rowheader")).to_have_text("site-07")


def test_how_many_of_a_template_fit_by_hour_and_where_over_committed(project: Project, visitor: Visitor) -> None:
    project.post("/templates/create", project=project.id, name="small", servers=1, cores=4, memory=1024)
    project.book("spark", midnight(30), midnight(31), cores=80)
    project.book("gaia", midnight(30), midnight(31), cores=50)
    page = visitor.open(**address(project, 24, view="free"))
    over = cell(page, project.id, day(30))
    expect(over).to_contain_class("over")
    expect(over).to_have_text("−30")
    expect(over).to_have_accessible_name(f"{project.id}, {day(30)}: over-committed by 30 cores")
    page.get_by_label("What is shown").select_option("template:small")
    expect(cell(page, project.id, day(24))).to_have_text("10")
    page.get_by_role("button", name="Day", exact=True).click()
    expect(page.get_by_role("gridcell", name=re.compile(": 10 × small free$")).first).to_be_visible()
    expect(page.get_by_role("grid")).to_have_attribute("aria-colcount", "25")


def test_where_nothing_is_granted_it_says_what_to_do_first(project: Project, visitor: Visitor) -> None:
    page = visitor.open(pool=project.id, view="free", date="2020-06-01")
    expect(page.get_by_text("There are no cores in this time.")).to_be_visible()
    page.get_by_role("link", name="grant the project some").click()
    expect(page.get_by_role("form", name=f"Grant capacity to {project.id}")).to_be_visible()


def test_a_tap_on_a_phone_leads_to_the_form_of_that_pool(project: Project, visitors: Any) -> None:
    k8s = cluster(project, "k8s", 20)
    page = visitors(width=390, height=844, has_touch=True, is_mobile=True).open(**where(project))
    cell(page, k8s, day(2)).tap()
    page.get_by_role("link", name=f"Book {day(2)}").tap()
    expect(page.get_by_label("Account", exact=True)).to_be_in_viewport()
    expect(page.get_by_role("heading", name=f"Book {k8s}")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
