"""Booking in the page: chosen, checked in advance, shown at once, changed and given back in place."""

from datetime import timedelta
from typing import Any
from unicodedata import normalize

from playwright.sync_api import Page, expect

from tests.browser.conftest import Project, Visitor, iso, midnight, noon_tomorrow
from tests.browser.test_calendar import HOUR, address, cell_of, day


def drag(page: Page, first: str, last: str) -> None:
    cell_of(page, first).scroll_into_view_if_needed()
    cell_of(page, first).hover()
    page.mouse.down()
    cell_of(page, last).hover()
    page.mouse.up()


def test_dragging_chooses_and_the_booking_shows_without_a_reload(project: Project, visitor: Visitor) -> None:
    monday = 14 - midnight(0).weekday()
    first, last = day(monday), day(monday + 1)
    page = visitor.open(**address(project, monday, scale="week", grain="day"))
    page.evaluate("window.kept = true")
    drag(page, first, last)
    expect(page.get_by_text("2 days", exact=True)).to_be_visible()
    page.get_by_label("Account", exact=True).fill("spark")
    page.get_by_label("Cores", exact=True).fill("60")
    expect(page.get_by_text("It fits.")).to_be_visible()
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_text("Booked.", exact=True)).to_be_visible()
    expect(cell_of(page, first).locator(".figure")).to_have_text("40")
    expect(cell_of(page, last).locator(".figure")).to_have_text("40")
    assert page.evaluate("window.kept")


def test_a_dry_run_books_nothing(project: Project, visitor: Visitor) -> None:
    page = visitor.open(**address(project, 3, select=f"{iso(midnight(3))},{iso(midnight(4))}"))
    page.get_by_label("Account", exact=True).fill("spark")
    page.get_by_label("Cores", exact=True).fill("60")
    expect(page.get_by_text("It fits.")).to_be_visible()
    assert project.bookings(midnight(0), midnight(30)) == []


def test_what_does_not_fit_is_said_by_hours_and_the_earliest_slots_are_buttons(
    project: Project, visitor: Visitor
) -> None:
    project.book("other", midnight(3) + 9 * HOUR, midnight(3) + 12 * HOUR, cores=90)
    page = visitor.open(**address(project, 3, select=f"{iso(midnight(3) + 8 * HOUR)},{iso(midnight(3) + 14 * HOUR)}"))
    page.get_by_label("Account", exact=True).fill("spark")
    page.get_by_label("Cores", exact=True).fill("40")
    refusal = page.locator(".said.bad")
    expect(refusal).to_contain_text("It does not fit: 3 hours lack capacity.")
    expect(refusal).to_contain_text(f"{day(3)}, 09:00 – 12:00: 30 cores short (10 free of 40 asked)")
    expect(page.get_by_role("button", name="Book", exact=True)).to_be_disabled()
    slots = page.get_by_role("group", name="The earliest times at which it fits").get_by_role("button")
    expect(slots.first).to_be_visible()
    slots.last.click()
    expect(page.get_by_text("It fits.")).to_be_visible()
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_text("Booked.", exact=True)).to_be_visible()
    assert len(project.bookings(midnight(0), midnight(30))) == 2


def test_amended_and_cancelled_in_place(project: Project, visitor: Visitor) -> None:
    booking = project.book("spark", midnight(3), midnight(4), cores=60)["id"]
    page = visitor.open(**address(project, 3, select=f"{iso(midnight(3))},{iso(midnight(4))}"))
    cell = cell_of(page, day(3)).locator(".figure")
    expect(cell).to_have_text("40")
    page.get_by_role("region", name="Booked in these hours").get_by_role("button", name="spark").click()
    card = page.get_by_role("region", name="Booking", exact=True)
    expect(card).to_contain_text(booking)
    card.get_by_role("button", name="Amend").click()
    card.get_by_label("Cores", exact=True).fill("101")
    expect(card.locator(".said.bad")).to_contain_text("1 core short")
    card.get_by_label("Cores", exact=True).fill("75")
    expect(card).to_contain_text("The change fits.")
    card.get_by_role("button", name="Amend").click()
    expect(cell).to_have_text("25")
    expect(card).to_contain_text("75 cores")
    card.get_by_role("button", name="Cancel booking").click()
    card.get_by_label("Reason").fill("done early")
    card.get_by_role("button", name="Cancel the booking").click()
    expect(cell).to_have_text("100")
    assert project.bookings(midnight(0), midnight(30)) == []


def test_one_of_several_is_cancelled_alone_or_with_all_after_it(project: Project, visitor: Visitor) -> None:
    project.book("spark", midnight(3), midnight(4), cores=60, rrule="FREQ=DAILY;COUNT=4")
    page = visitor.open(**address(project, 4, select=f"{iso(midnight(4))},{iso(midnight(5))}"))
    page.get_by_role("region", name="Booked in these hours").get_by_role("button", name="spark").click()
    card = page.get_by_role("region", name="Booking", exact=True)
    card.get_by_role("button", name="Cancel booking").click()
    card.get_by_label("It is one of several").select_option("this one and all after it")
    card.get_by_role("button", name="Cancel the bookings").click()
    expect(cell_of(page, day(4)).locator(".figure")).to_have_text("100")
    assert [one["start"] for one in project.bookings(midnight(0), midnight(30))] == [iso(midnight(3))]


def test_whole_days_are_repeated_as_days_and_hours_as_times(project: Project, visitor: Visitor) -> None:
    for hours, startdate in ((24, midnight(3).date().isoformat()), (2, iso(midnight(3)))):
        chosen = f"{iso(midnight(3))},{iso(midnight(3) + hours * HOUR)}"
        page = visitor.open(**address(project, 3, select=chosen))
        page.get_by_label("Account", exact=True).fill("spark")
        page.get_by_label("Cores", exact=True).fill("2")
        expect(page.get_by_text("It fits.")).to_be_visible()
        with page.expect_request("**/bookings/create?dry_run=true") as asked:
            page.get_by_label("Repeats", exact=True).select_option("DAILY")
        assert asked.value.post_data_json["startdate"] == startdate
        expect(page.get_by_text("Every time fits.")).to_be_visible()


def test_a_template_a_share_and_a_repeat(project: Project, visitor: Visitor) -> None:
    project.post("/templates/create", project=project.id, name="small", servers=1, cores=4, memory=16 * 1024)
    cluster = project.post(
        "/clusters/create",
        parent=project.id,
        name="k8s",
        startdate=iso(midnight(0)),
        enddate=iso(midnight(60)),
        servers=8,
        cores=80,
        memory=160 * 1024,
    )["id"]
    chosen = f"{iso(midnight(3))},{iso(midnight(3) + HOUR)}"
    page = visitor.open(**{**address(project, 3, select=chosen), "pool": cluster})
    page.get_by_label("Account", exact=True).fill("spark")
    page.get_by_role("button", name="Template").click()
    expect(page.get_by_text("1 server, 4 cores, 16 GiB of memory each")).to_be_visible()
    page.get_by_label("How many", exact=True).fill("2")
    page.get_by_label("Repeats", exact=True).select_option("WEEKLY")
    page.get_by_label("Times", exact=True).fill("3")
    expect(page.get_by_text("Every time fits.")).to_be_visible()
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_text("3 of 3 times.")).to_be_visible()
    expect(cell_of(page, day(3)).locator(".figure")).to_have_text("72")
    page.get_by_label("Repeats", exact=True).select_option("")
    page.get_by_role("button", name="Share").click()
    page.get_by_label("Share of the cluster, in %").fill("25")
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_text("Booked.", exact=True)).to_be_visible()
    expect(cell_of(page, day(3)).locator(".figure")).to_have_text("52")
    expect(page.get_by_role("region", name="Booked in these hours")).to_contain_text("25% of the cluster")


def test_another_persons_booking_appears_by_itself(project: Project, visitors: Any) -> None:
    ada, grace = visitors(), visitors(scheme="dark")
    page, other = (visitor.open(**address(project, 3)) for visitor in (ada, grace))
    expect(other.get_by_text("Live", exact=True)).to_be_visible()
    page.get_by_label("Your name, kept in the history").fill("Ada")
    cell_of(page, day(3)).click()
    page.get_by_label("Account", exact=True).fill("spark")
    page.get_by_label("Cores", exact=True).fill("60")
    page.get_by_role("button", name="Book", exact=True).click()
    expect(cell_of(other, day(3)).locator(".figure")).to_have_text("40")
    expect(other.locator(".toasts")).to_contain_text(f"Ada booked 60 cores of {project.id} for spark, {day(3)}.")


def test_operators_make_clusters_resize_them_and_define_templates(project: Project, visitors: Any) -> None:
    page = visitors(now=noon_tomorrow()).open(pool=project.id, view="setup", tz="UTC")
    what = page.get_by_role("group", name="What to set up")
    what.get_by_role("button", name="Template").click()
    page.get_by_label("Name", exact=True).fill("tiny")
    page.get_by_label("Cores", exact=True).fill("1")
    page.get_by_role("button", name="Save the template").click()
    expect(page.get_by_role("region", name="Templates")).to_contain_text("1 core")

    what.get_by_role("button", name="Cluster").click()
    page.get_by_label("Name", exact=True).fill("k8s")
    page.get_by_label("Cores", exact=True).fill("101")
    expect(page.locator(".said.bad")).to_contain_text("1 core short")
    page.get_by_label("Cores", exact=True).fill("40")
    page.get_by_role("button", name="Create the cluster").click()
    tree = page.get_by_role("navigation", name="Projects and clusters")
    expect(tree.get_by_title(f"{project.id}.k8s, cluster")).to_be_visible()
    expect(page.locator(".cell.now").locator(".figure, .best-text").last).to_contain_text("40")

    page.get_by_role("link", name="Set up", exact=True).click()
    what.get_by_role("button", name="Resize").click()
    page.get_by_label("Cores", exact=True).fill("60")
    page.get_by_role("button", name="Resize it").click()
    expect(page.get_by_text("It is resized.")).to_be_visible()

    what.get_by_role("button", name="Account").click()
    page.get_by_label("Account", exact=True).fill("spark")
    page.get_by_label("Cores", exact=True).fill("10")
    page.get_by_role("button", name="Open the account").click()
    expect(page.get_by_role("region", name="Accounts")).to_contain_text("10 cores at once")

    what.get_by_role("button", name="Grant").click()
    grants = page.get_by_role("region", name="Grants")
    grants.get_by_role("button", name="Withdraw").click()
    expect(grants.locator(".said.bad")).to_contain_text("There is not enough capacity")  # the cluster stands on it


def test_while_the_history_is_not_settled_people_are_told_that_nothing_was_booked(
    project: Project, visitor: Visitor
) -> None:
    problem = {"title": "The history is not settled", "detail": "see docs/healing.md", "code": "history_unsettled"}
    visitor.page.route("**/bookings/create*", lambda route: route.fulfill(status=503, json=problem))
    page = visitor.open(**address(project, 3, select=f"{iso(midnight(3))},{iso(midnight(4))}"))
    page.get_by_label("Account", exact=True).fill("spark")
    page.get_by_label("Cores", exact=True).fill("60")
    refusal = page.locator(".said.bad")
    expect(refusal).to_contain_text("Nothing can be booked for now.")
    expect(refusal).to_contain_text("Nothing was booked.")
    visitor.complaints[:] = [one for one in visitor.complaints if "status of 503" not in one]


def test_a_refusal_is_in_words(project: Project, visitor: Visitor) -> None:
    project.post("/accounts/create", project=project.id, account="spark")
    page = visitor.open(**address(project, 3, select=f"{iso(midnight(3))},{iso(midnight(3) + timedelta(days=1))}"))
    page.get_by_label("Account", exact=True).fill("nobody")
    page.get_by_label("Cores", exact=True).fill("10")
    expect(page.locator(".field.wrong")).to_contain_text("no such account in this project")
    expect(page.locator(".verdict")).to_contain_text("there is no account in this project 'nobody'")
    expect(page.get_by_role("button", name="Book", exact=True)).to_be_disabled()


def test_a_name_of_any_script_books_and_its_account_is_set_up(project: Project, visitor: Visitor) -> None:
    name = "Łukasz/Zoë 李"
    page = visitor.open(**address(project, 3, select=f"{iso(midnight(3))},{iso(midnight(4))}"))
    page.evaluate("name => localStorage.setItem('hourbook.actor', name)", normalize("NFD", name))
    page.get_by_label("Account", exact=True).fill(normalize("NFD", name))
    page.get_by_label("Cores", exact=True).fill("6")
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_text("Booked.", exact=True)).to_be_visible()
    expect(cell_of(page, day(3)).locator(".figure")).to_have_text("94")
    (item,) = project.bookings(midnight(3), midnight(4))
    assert (item["account"], item["actor"]) == (name, name)

    page = visitor.open(pool=project.id, view="setup", tz="UTC")
    page.get_by_role("group", name="What to set up").get_by_role("button", name="Account").click()
    accounts = page.get_by_role("region", name="Accounts")
    for action, cores in (("Open the account", "10"), ("Set its limits", "20")):
        page.get_by_label("Account", exact=True).fill(normalize("NFD", name))
        page.get_by_label("Cores", exact=True).fill(cores)
        page.get_by_role("button", name=action).click()
        expect(accounts).to_contain_text(f"{name}{cores} cores at once")
    accounts.get_by_role("button", name=f"Close {name}").click()
    expect(accounts.get_by_text("closed")).to_be_visible()
