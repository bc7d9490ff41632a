"""The calendar: what can be held as the fill, the best hour as a mark, and the way from a year to an hour."""

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Project, Visitor, iso, midnight

HOUR = timedelta(hours=1)
UTC = {"tz": "UTC"}


def cell_of(page: Page, words: str) -> Locator:
    """The cell that says so first; that of the present hour says before all else that it is now."""
    return page.get_by_role("button", name=re.compile(f"^(Now. )?{words}[:,]"))


def day(days: int) -> str:
    """As the page says it: the year only where it is not this one."""
    moment = midnight(days)
    year = "" if moment.year == midnight(0).year else f" {moment.year}"
    return moment.strftime(f"%a {moment.day} %b").replace("Sep", "Sept") + year


def address(project: Project, days: int = 0, **more: str) -> dict[str, str]:
    return {"pool": project.id, "date": midnight(days).strftime("%Y-%m-%d"), **UTC, **more}


def test_a_day_is_filled_by_its_minimum_and_marked_by_its_maximum(project: Project, visitor: Visitor) -> None:
    project.book("spark", midnight(3) + 9 * HOUR, midnight(3) + 17 * HOUR, cores=70)
    page = visitor.open(**address(project, 3))
    cell = cell_of(page, day(3))
    expect(cell.locator(".figure")).to_have_text("30")
    expect(cell.locator(".best-text")).to_have_text("to 100")
    expect(cell.locator(".mark")).to_be_visible()
    expect(cell).to_contain_class("f2")
    expect(cell).to_have_accessible_name(f"{day(3)}: 30 cores free throughout, 100 in the best hour")
    whole = cell_of(page, day(4))
    expect(whole.locator(".figure")).to_have_text("100")
    expect(whole.locator(".mark")).to_have_count(0)


def test_hovering_and_focus_give_the_numbers(project: Project, visitor: Visitor) -> None:
    project.book("spark", midnight(3), midnight(4), cores=70)
    page = visitor.open(**address(project, 3))
    readout = page.locator(".readout p")
    cell_of(page, day(3)).hover()
    expect(readout).to_contain_text("30 cores free throughout of 100 granted, 70 booked")
    cell_of(page, day(4)).focus()
    expect(readout).to_contain_text("100 cores free throughout")


def test_today_is_marked(project: Project, visitor: Visitor) -> None:
    page = visitor.open(**address(project))
    expect(page.locator(".cell.now")).to_have_accessible_name(re.compile(f"^Now. {day(0)}: "))


def test_what_is_decided_before_the_stream_begins_is_shown(project: Project, visitor: Visitor) -> None:
    held: list[Route] = []
    visitor.page.route("**/events/stream", lambda route: held.append(route), times=1)
    page = visitor.open(**address(project, 3))
    figure = cell_of(page, day(3)).locator(".figure")
    expect(figure).to_have_text("100")
    project.book("spark", midnight(3), midnight(4), cores=70)
    held[0].continue_()
    expect(figure).to_have_text("30")


def test_a_link_to_what_is_decided_but_not_yet_shown_opens_it(project: Project, visitor: Visitor) -> None:
    """The read models are behind: the first answers are 404."""
    behind = {"title": "There is no such project", "detail": "", "code": "unknown_pool", "status": 404}
    visitor.page.route("**/available/select?*", lambda route: route.fulfill(status=404, json=behind), times=1)
    page = visitor.open(**address(project, 3))
    expect(cell_of(page, day(3)).locator(".figure")).to_have_text("100")
    assert len(visitor.complaints) == 1
    assert "status of 404" in visitor.complaints.pop()


def test_over_committed_hours_are_unmistakable(project: Project, visitor: Visitor) -> None:
    project.book("spark", midnight(30), midnight(31), cores=80)
    project.book("gaia", midnight(30), midnight(31), cores=50)
    page = visitor.open(**address(project, 30))
    cell = cell_of(page, day(30))
    expect(cell).to_have_class("cell over")
    expect(cell.locator(".figure")).to_have_text("−30")
    expect(cell).to_have_accessible_name(f"{day(30)}: over-committed by 30 cores")
    page.get_by_role("link", name="See the conflicts").click()
    expect(page.get_by_role("heading", name="Conflicts")).to_be_visible()


def test_zooming_goes_from_the_year_to_the_hours(project: Project, visitor: Visitor) -> None:
    page = visitor.open(**address(project, 3, scale="year"))
    moment = midnight(3)
    page.get_by_role("button", name=moment.strftime("%B"), exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(moment.strftime("%B %Y"))
    page.get_by_role("button", name=f"W{moment.isocalendar().week}, ").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Week {moment.isocalendar().week}")
    expect(page.locator(".cell")).to_have_count(168)
    page.get_by_role("button", name=f"{moment.strftime('%a')} {moment.day} ", exact=False).first.click()
    expect(page.locator(".cell")).to_have_count(24)
    expect(page.get_by_role("heading", level=1)).to_contain_text(moment.strftime("%A"))
    for _ in range(3):
        page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text(str(moment.year))


@pytest.mark.parametrize(("scale", "grain", "cells"), [("year", "month", 12), ("year", "week", 53), ("week", "day", 7)])
def test_a_grain_is_chosen(project: Project, visitor: Visitor, scale: str, grain: str, cells: int) -> None:
    page = visitor.open(pool=project.id, scale=scale, date="2026-11-24", **UTC)
    page.get_by_label("Grain").select_option(grain)
    expect(page.locator(".cell")).to_have_count(cells)


def test_double_click_and_enter_look_closer(project: Project, visitor: Visitor) -> None:
    page = visitor.open(**address(project, 3))
    cell_of(page, day(3)).dblclick()
    expect(page.locator(".cell")).to_have_count(168)
    page.locator('.cell[tabindex="0"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator(".cell")).to_have_count(24)


def test_where_nothing_is_granted_it_says_what_to_do_first(project: Project, visitor: Visitor) -> None:
    page = visitor.open(pool=project.id, date="2020-06-01", **UTC)
    expect(page.get_by_text("There are no cores in this time.")).to_be_visible()
    page.get_by_role("link", name="grant the project some").click()
    expect(page.get_by_role("form", name=f"Grant capacity to {project.id}")).to_be_visible()


def test_how_many_of_a_template_fit(project: Project, visitor: Visitor) -> None:
    project.post("/templates/create", project=project.id, name="small", servers=1, cores=4, memory=16 * 1024)
    project.book("spark", midnight(3), midnight(4), cores=80)
    page = visitor.open(**address(project, 3))
    page.get_by_label("What is shown").select_option("template:small")
    expect(cell_of(page, day(3)).locator(".figure")).to_have_text("5")
    expect(cell_of(page, day(4)).locator(".figure")).to_have_text("10")


def test_the_timeline_stacks_who_holds_what_under_what_is_granted(project: Project, visitor: Visitor) -> None:
    project.grant(midnight(3), midnight(5), cores=20)
    project.book("spark", midnight(2), midnight(4), cores=30)
    project.book("gaia", midnight(3), midnight(4), cores=10)
    project.post(
        "/clusters/create", parent=project.id, name="k8s", startdate=iso(midnight(3)), enddate=iso(midnight(4)), cores=5
    )
    page = visitor.open(**address(project, 3, scale="week", grain="day"))
    timeline = page.get_by_role("region", name="Timeline", exact=True)
    expect(timeline.locator("canvas")).to_be_visible()
    expect(timeline.get_by_role("img")).to_have_accessible_name(re.compile("Clusters in it, spark, gaia, Free"))
    timeline.get_by_role("button", name="Table").click()
    head = ["When", "Granted", "Clusters in it", "spark", "gaia", "Free"]
    expect(timeline.get_by_role("columnheader")).to_have_text(head)
    row = timeline.get_by_role("row").filter(has=page.get_by_role("rowheader", name=day(3), exact=True))
    expect(row.get_by_role("cell")).to_have_text(["120", "5", "30", "10", "75"])


def test_a_cluster_shows_its_size_as_it_steps_and_its_shares(project: Project, visitor: Visitor) -> None:
    cluster = project.post(
        "/clusters/create",
        parent=project.id,
        name="k8s",
        startdate=iso(midnight(0)),
        enddate=iso(midnight(30)),
        cores=40,
    )["id"]
    project.post(f"/clusters/{cluster}/resize", startdate=iso(midnight(10)), enddate=iso(midnight(12)), cores=60)
    project.book("spark", midnight(9), midnight(11), pool=cluster, share="25%")
    page = visitor.open(**{**address(project, 10, scale="year", table="timeline"), "pool": cluster})
    timeline = page.get_by_role("region", name="Timeline", exact=True)
    expect(timeline.get_by_role("columnheader").nth(1)).to_have_text("Size")
    expect(timeline).to_contain_text("Reserved by shares")
    rows = [row.get_by_role("cell").all_inner_texts() for row in timeline.get_by_role("row").all()[1:]]
    assert ["60", "15", "45"] in rows
    assert ["40", "10", "30"] in rows


def test_the_past_is_a_table_too(project: Project, visitor: Visitor) -> None:
    page = visitor.open(**address(project, 3))
    page.get_by_role("region", name="Calendar").get_by_role("button", name="Table").first.click()
    table = page.get_by_role("region", name="Blocks as a table")
    row = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name=day(3), exact=True))
    expect(row.get_by_role("cell")).to_have_text(["100", "100", "100", "0", "0", "24"])


def test_loading_it_takes_little(project: Project, visitors: Any) -> None:
    visitor = visitors()
    sizes: list[int] = []
    visitor.page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    page = visitor.open(**address(project))
    expect(page.locator(".cell").first).to_be_visible()
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    assert sum(sizes) < 250_000
    assert painted < 3000, f"{painted} ms"  # some 200 ms on an idle machine; tests share theirs
