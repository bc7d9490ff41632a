"""Accounts and their limits, recurring bookings as one thing, clusters and what they are made of."""

from __future__ import annotations

import re
from datetime import timedelta

from playwright.sync_api import expect

from tests.browser.conftest import Project, Visitor, iso, midnight
from tests.browser.test_calendar import HOUR, UTC, address, day
from tests.browser.test_manners import findings, settled

TIMES = "\N{MULTIPLICATION SIGN}"


def in_next_month() -> int:
    """How many days it is from today to the 10th of the next month in UTC."""
    today = midnight(0)
    tenth = (today.replace(day=1) + timedelta(days=32)).replace(day=10)
    return (tenth - today).days


def test_an_account_is_shown_against_its_limits_and_with_what_it_holds_now(project: Project, visitor: Visitor) -> None:
    limits = {"capacity": {"cores": 80, "memory": 102_400}, "monthly_hours": {"cores": 2000}, "duration_hours": 96}
    project.post("/accounts/create", project=project.id, account="spark", limits=limits)
    project.post("/accounts/create", project=project.id, account="gaia", limits={})
    days = in_next_month()
    project.book("spark", midnight(days), midnight(days + 1), cores=72)
    project.book("gaia", midnight(days), midnight(days + 1), cores=20)
    page = visitor.open(**address(project, days, view="accounts"))
    table = page.get_by_role("region", name="Accounts as a table")
    most = table.get_by_role("meter", name="spark: most at once")
    expect(most).to_have_attribute("aria-valuetext", "72 of 80 cores")
    month = table.get_by_role("meter", name="spark: in the month")
    expect(month).to_have_attribute("aria-valuetext", f"1,728 of 2,000 cores {TIMES} hours")
    expect(table.get_by_role("meter", name="gaia: most at once")).to_have_attribute(
        "aria-valuetext", "20 cores, no limit"
    )
    table.get_by_role("button", name="spark").click()
    card = page.get_by_role("region", name="Account", exact=True)
    expect(card.get_by_role("region", name="What it holds now")).to_contain_text("Nothing")
    expect(card.get_by_role("meter", name="Memory: most at once")).to_have_attribute("aria-valuenow", "0")
    expect(card).to_contain_text("may last at most 4 days")
    now = midnight(0)
    project.book("spark", now, now + 48 * HOUR, cores=8)
    expect(card.get_by_role("region", name="What it holds now")).to_contain_text(f"8 cores of {project.id}")
    settled(page)
    assert findings(page) == []


def test_a_recurring_booking_is_one_row_which_opens_and_its_rest_is_amended_and_cancelled(
    project: Project, visitor: Visitor
) -> None:
    days = in_next_month()
    start = midnight(days) + 9 * HOUR
    body = {"project": project.id, "account": "spark", "cores": 10, "rrule": "FREQ=DAILY;COUNT=4"}
    project.post("/bookings/create", startdate=iso(start), enddate=iso(start + 2 * HOUR), **body)
    project.book("gaia", midnight(days), midnight(days + 1), cores=5)
    page = visitor.open(**address(project, days, view="bookings"))
    table = page.get_by_role("region", name="Bookings as a list").get_by_role("table")
    rows = table.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("every day 09:00, 4 times")
    rows.nth(1).get_by_role("button", name=re.compile("show the times")).click()
    expect(rows).to_have_count(6)
    rows.nth(3).get_by_role("button", name="spark").click()
    card = page.get_by_role("region", name="Booking", exact=True)
    expect(card).to_contain_text("every day 09:00 (UTC), 4 times")
    card.get_by_role("button", name="Amend").click()
    card.get_by_label("It is one of several").select_option("this one and all after it")
    card.get_by_label("Cores", exact=True).fill("20")
    expect(card.get_by_text("The change fits.")).to_be_visible()
    card.get_by_role("button", name="Amend").click()
    expect(rows.nth(1)).to_contain_text("not always the same")
    card.get_by_role("button", name="Cancel booking").click()
    card.get_by_label("It is one of several").select_option("this one and all after it")
    card.get_by_role("button", name="Cancel the bookings").click()
    expect(rows).to_have_count(2)  # what is left of it recurs no more
    expect(rows.nth(1)).not_to_contain_text("every day")
    held = [one["cores"] for one in project.bookings(midnight(days), midnight(days + 9)) if one["account"] == "spark"]
    assert held == [10]


def test_a_magnum_cluster_shows_its_nodes_and_its_resizes_and_an_exclusive_one_whose_it_is(
    project: Project, visitor: Visitor
) -> None:
    project.post("/templates/create", project=project.id, name="small", cores=4)
    nodes = {"masterflavor": "small", "mastercount": 1, "workerflavor": "small"}
    whole = {"startdate": iso(midnight(1)), "enddate": iso(midnight(20))}
    cluster = project.post("/magcluster/create", parent=project.id, name="mag", workercount=2, **nodes, **whole)["id"]
    part = {"startdate": iso(midnight(4)), "enddate": iso(midnight(6))}
    project.post(f"/magcluster/{cluster}/resize", workercount=5, **nodes, **part)
    page = visitor.open(pool=cluster, **UTC)
    card = page.get_by_role("region", name="The cluster", exact=True)
    expect(card).to_contain_text(f"1 {TIMES} small")
    resize = card.get_by_role("region", name="The resizes of the cluster").locator("tbody tr")
    expect(resize).to_have_count(1)
    expect(resize).to_contain_text(f"{day(4)} – {day(5)}")
    expect(resize).to_contain_text(f"5 {TIMES} small")
    expect(resize).to_contain_text("24 cores")
    expect(card.get_by_role("img")).to_have_accessible_name(
        "The size of the cluster: 12 cores at least, 24 cores at most"
    )
    project.book("spark", midnight(2), midnight(3), share="100%", cores=10, name="exam")
    own = page.get_by_role("navigation", name="Projects and clusters").get_by_role("link", name="exam exclusive")
    own.click()
    expect(card).to_contain_text("It was made for one booking, which holds all of it.")
    expect(card).to_contain_text("It is for spark")
