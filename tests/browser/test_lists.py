"""Bookings over time and as a list, conflicts and what resolves them, history as sentences, and the past."""

import csv
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import Project, Visitor, iso, midnight
from tests.browser.test_calendar import HOUR, address, cell_of, day
from tests.support.running import until


def test_the_gantt_groups_by_account_and_by_cluster_and_shows_the_state(project: Project, visitor: Visitor) -> None:
    cluster = project.post(
        "/clusters/create",
        parent=project.id,
        name="k8s",
        startdate=iso(midnight(-1)),
        enddate=iso(midnight(60)),
        cores=20,
    )["id"]
    project.book("spark", midnight(30), midnight(32), cores=70)
    project.book("gaia", midnight(30), midnight(31), cores=60)
    project.book("gaia", midnight(30), midnight(31), pool=cluster, cores=5)
    page = visitor.open(**address(project, 30, view="bookings"))
    gantt = page.get_by_role("group", name="Bookings over time")
    expect(gantt.get_by_role("heading", level=2)).to_have_text(["gaia", "spark"])
    expect(gantt.locator(".gantt-bar")).to_have_count(3)
    expect(gantt.locator(".gantt-bar.tentative")).to_have_count(1)
    label = gantt.locator(".gantt-bar.tentative").get_attribute("aria-label")
    assert label == f"gaia: 60 cores of {project.id}, {day(30)}, tentative"
    page.get_by_role("button", name="By cluster").click()
    expect(gantt.get_by_role("heading", level=2)).to_have_text([project.id, cluster])
    gantt.get_by_role("button", name=f"spark: 70 cores of {project.id}").click()
    expect(page.get_by_role("region", name="Booking", exact=True)).to_contain_text("70 cores")


def test_on_a_phone_the_gantt_begins_where_the_present_is_in_sight_and_keeps_the_names(
    project: Project, visitors: Any
) -> None:
    at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    project.book("spark", at + timedelta(hours=1), at + timedelta(hours=9), cores=1)
    page = visitors(width=390, height=844, has_touch=True, is_mobile=True).open(
        pool=project.id, view="bookings", scale="year"
    )
    gantt = page.get_by_role("group", name="Bookings over time")
    expect(gantt.locator(".gantt-bar")).to_be_in_viewport()
    expect(gantt.locator(".rule.now")).to_be_in_viewport()
    expect(gantt.get_by_role("heading", name="spark")).to_be_in_viewport(ratio=0.9)


def test_the_list_is_a_table_and_a_file(project: Project, visitor: Visitor, tmp_path: Path) -> None:
    project.book("spark", midnight(3), midnight(4), cores=70)
    project.book("gaia", midnight(3) + 6 * HOUR, midnight(4), cores=10)
    page = visitor.open(**address(project, 3, view="bookings"))
    table = page.get_by_role("region", name="Bookings as a list").get_by_role("table")
    expect(table.get_by_role("row")).to_have_count(3)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    download.value.save_as(tmp_path / "bookings.csv")
    rows = list(csv.DictReader((tmp_path / "bookings.csv").read_text().splitlines()))
    assert [(row["account"], row["cores"]) for row in rows] == [("spark", "70"), ("gaia", "10")]


def test_the_calendar_feed_is_linked(project: Project, visitor: Visitor) -> None:
    project.book("spark", midnight(3), midnight(4), cores=70)
    page = visitor.open(**address(project, 3, view="bookings"))
    href = page.get_by_role("link", name="Calendar feed").get_attribute("href")
    answer = page.request.get(f"{visitor.url}/{href}")
    assert answer.ok
    assert answer.headers["content-type"].startswith("text/calendar")
    assert "BEGIN:VEVENT" in answer.text()


def test_a_conflict_names_its_deadline_and_what_would_resolve_it(project: Project, visitor: Visitor) -> None:
    project.book("spark", midnight(30), midnight(31), cores=80)
    project.book("gaia", midnight(30), midnight(31), cores=50)
    page = visitor.open(**address(project, view="conflicts"))
    conflict = page.get_by_role("article")
    expect(conflict.get_by_role("heading", level=2)).to_contain_text(day(30))
    expect(conflict).to_contain_text("up to 30 cores short")
    expect(conflict).to_contain_text(f"To be settled by {day(16)}, 00:00")
    ways = conflict.locator(".ways li")
    expect(ways.nth(0)).to_contain_text("gaia’s booking (50 cores, tentative)")
    expect(ways.last).to_contain_text("Grant more: 30 cores for these hours")
    ways.nth(0).get_by_role("link").click()
    card = page.get_by_role("region", name="Booking", exact=True)
    card.get_by_role("button", name="Cancel booking").click()
    card.get_by_role("button", name="Cancel the booking").click()
    page.get_by_role("link", name="Conflicts", exact=True).click()
    expect(page.get_by_text("Every hour has what it is promised.")).to_be_visible()


def test_history_is_sentences_that_can_be_filtered(project: Project, visitor: Visitor) -> None:
    project.book("spark", midnight(3), midnight(5), cores=70)
    project.post("/templates/create", project=project.id, name="small", cores=4)
    page = visitor.open(**address(project, view="history"))
    page.get_by_label("Where").select_option(f"in {project.id}")
    events = page.locator(".events li")
    expect(events).to_have_count(4)
    expect(events.nth(0)).to_contain_text("Henrietta defined the template small, version 1: 4 cores.")
    expect(events.nth(1)).to_contain_text(f"Henrietta booked 70 cores of {project.id} for spark, {day(3)} – {day(4)}.")
    page.get_by_label("What").select_option("Bookings")
    expect(events).to_have_count(1)
    page.get_by_label("What").select_option("Everything")
    page.get_by_label("Who").fill("Nobody")
    page.get_by_label("Who").press("Enter")
    expect(page.get_by_text("Nothing that fits has happened.")).to_be_visible()


def test_history_tells_what_was_refused_and_why(project: Project, visitor: Visitor) -> None:
    body = {"project": project.id, "startdate": iso(midnight(3)), "enddate": iso(midnight(4)), "cores": 700}
    with httpx.Client(base_url=visitor.url, headers={"X-Hourbook-Actor": "Henrietta"}) as client:
        assert client.post("/bookings/create", json={**body, "account": "spark"}).status_code == 409
        until(lambda: client.get("/refusals", params={"project": project.id}).json()["refusals"])  # written beside it
    page = visitor.open(**address(project, view="history"))
    page.get_by_label("Where").select_option(f"in {project.id}")
    page.get_by_label("What").select_option("What was refused")
    told = page.locator(".events li")
    expect(told).to_have_count(1)
    expect(told).to_contain_text(f"Henrietta tried to book {project.id}: the booking asks 700 cores")
    expect(told).to_contain_text(f"from {day(3)}, 00:00 to ")
    assert "kind=refused" in page.url
    page.get_by_label("Who").fill("Nobody")
    page.get_by_label("Who").press("Enter")
    expect(page.get_by_text("Nothing that fits was refused.")).to_be_visible()


def test_the_calendar_as_it_stood_at_any_moment(project: Project, visitor: Visitor) -> None:
    before = project.book("spark", midnight(3), midnight(4), cores=70)["position"]
    project.book("gaia", midnight(3), midnight(4), cores=20)
    page = visitor.open(**address(project, 3))
    figure = cell_of(page, day(3)).locator(".figure")
    expect(figure).to_have_text("10")
    page.get_by_role("link", name="Look back in time").click()
    slider = page.get_by_role("slider")
    slider.fill(str(before))
    expect(figure).to_have_text("30")
    expect(page.get_by_role("region", name="The past is shown")).to_contain_text("Henrietta booked 70 cores")
    slider.fill(str(before - 1))
    expect(figure).to_have_text("100")
    expect(page.get_by_text("The past can be looked at, not booked.")).to_be_visible()
    page.get_by_role("button", name="Back to now").click()
    expect(figure).to_have_text("10")


def test_the_past_is_chosen_by_the_clock_too(project: Project, visitor: Visitor) -> None:
    position = project.book("spark", midnight(3), midnight(4), cores=70)["position"]
    decided = _decided(visitor, position)
    until(lambda: datetime.now(UTC).replace(microsecond=0) > decided)  # the next booking is of a later second
    project.book("gaia", midnight(3), midnight(4), cores=20)
    page = visitor.open(**address(project, 3, as_of=str(position - 1)))
    figure = cell_of(page, day(3)).locator(".figure")
    expect(figure).to_have_text("100")
    moment = page.get_by_label("At a moment")
    expect(moment).to_have_value(re.compile(f"^{_decided(visitor, position - 1):%Y-%m-%dT%H:%M}"))
    moment.fill(f"{decided:%Y-%m-%dT%H:%M:%S}")  # all of that second
    expect(figure).to_have_text("30")
    expect(page.get_by_role("region", name="The past is shown")).to_contain_text("Henrietta booked 70 cores")
    assert f"as_of={decided:%Y-%m-%dT%H}" in unquote(page.url)
    moment.fill("2100-01-01T00:00:00")  # nobody knows; as it was
    expect(page.locator(".moment input:invalid")).to_have_count(1)
    expect(figure).to_have_text("30")


def test_a_moment_is_typed_segment_by_segment_and_the_field_stays(project: Project, visitor: Visitor) -> None:
    decided = _decided(visitor, project.book("spark", midnight(3), midnight(4), cores=70)["position"])
    page = visitor.open(**address(project, 3, view="history"))
    past = page.get_by_role("region", name="The past is shown")
    moment = page.get_by_label("At a moment")
    page.get_by_role("slider").fill("0")
    expect(past).to_contain_text("Before the first event")
    expect(moment).to_have_value("")
    moment.focus()
    page.keyboard.type(f"{decided:%m%d%Y}")
    page.keyboard.press("Tab")
    page.keyboard.type(f"{decided:%I%M%S%p}")
    page.keyboard.press("ArrowUp")  # the half of the day, to and fro: each is followed while the field is held
    page.keyboard.press("ArrowDown")
    expect(moment).to_be_focused()
    expect(past).to_contain_text("Henrietta booked 70 cores")
    assert f"as_of={decided:%Y-%m-%dT%H}" in unquote(page.url)


def _decided(visitor: Visitor, position: int) -> datetime:
    """When the event of that position was decided."""
    answer = httpx.get(f"{visitor.url}/events/{position}").json()
    return datetime.fromisoformat(answer["event"]["at"])


def test_the_chain_says_how_far_it_is_verified(project: Project, visitor: Visitor) -> None:
    page = visitor.open(**address(project))
    expect(page.get_by_text("Verified to position")).to_be_visible()
