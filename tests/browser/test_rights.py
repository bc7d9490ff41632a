"""What one may not do is not offered, or says why. A request that the services refuse fails these tests: the browser
complains of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Project, Visitor, iso, midnight, new_project
from tests.browser.house import House, somebody
from tests.browser.test_calendar import address, cell_of, day
from tests.browser.test_manners import findings, settled

ALL_VIEWS = ["Calendar", "Where is it free", "Bookings", "Accounts", "Conflicts", "History", "Set up"]
OWN = ["My tokens", "Feed addresses"]
MANAGED = ["Grant", "Cluster", "Resize", "Template", "Account"]


class Team(NamedTuple):
    """A project with an account, bookings that hold more than there is, and a person for each role."""

    house: House
    project: Project
    people: dict[str, str]
    elsewhere: str  # a position later than all that, of another project

    def visit(self, visitors: Any, role: str, **more: Any) -> Visitor:
        visitor: Visitor = visitors(url=self.house.url, cookie=self.house.cookie(self.people[role]), **more)
        return visitor


@pytest.fixture(scope="module")
def team(house: House) -> Iterator[Team]:
    over = {"beyond_hours": 336}
    with new_project(house.url, somebody("team-"), house.root(), name="Team", overcommit=over) as project:
        yield team_of(house, project)


def team_of(house: House, project: Project) -> Team:
    project.post("/templates/create", project=project.id, name="small", cores=4)
    size = {"startdate": iso(midnight(-1)), "enddate": iso(midnight(60)), "cores": 20}
    project.post("/clusters/create", parent=project.id, name="k8s", **size)
    people = {}
    for role in ("viewer", "reader", "member", "manager", "admin", "auditor"):
        people[role] = somebody(role)
        house.person(people[role])
        project.post("/roles/grant", pool=project.id, role=role, member=f"egi:{people[role]}")
    for account in ("spark", "teaching"):
        project.post("/accounts/create", project=project.id, account=account, limits={})
    project.post("/accounts/spark/members/add", project=project.id, member=f"egi:{people['member']}")
    project.book("teaching", midnight(3), midnight(4), cores=30)
    project.book("spark", midnight(3), midnight(4), cores=20)
    project.book("teaching", midnight(30), midnight(31), cores=60)
    project.book("teaching", midnight(30), midnight(31), cores=40)
    other = somebody("other-")
    elsewhere = project.post("/projects/create", id=other, name=other)["position"]
    return Team(house, project, people, str(elsewhere))


def segments(page: Page) -> list[str]:
    return page.get_by_role("group", name="What to set up").get_by_role("button").all_inner_texts()


@pytest.mark.parametrize(
    ("role", "views", "forms"),
    [
        ("reader", ALL_VIEWS, OWN),
        ("member", ALL_VIEWS, OWN),
        ("manager", ALL_VIEWS, [*MANAGED, *OWN]),
        ("admin", ALL_VIEWS, [*MANAGED, "Roles", *OWN]),
        ("auditor", ALL_VIEWS, ["Roles", *OWN]),
    ],
)
def test_each_role_is_offered_what_it_may_do(
    team: Team, visitors: Any, role: str, views: list[str], forms: list[str]
) -> None:
    visitor = team.visit(visitors, role)
    page = visitor.open(**address(team.project, 3))
    settled(page)
    assert page.get_by_role("navigation", name="Views").get_by_role("link").all_inner_texts() == views
    for view in ("bookings", "conflicts", "history", "setup"):
        settled(visitor.open(**address(team.project, 3, view=view)))
    assert segments(page) == forms
    for form in forms:
        page.get_by_role("group", name="What to set up").get_by_role("button", name=form).click()
        settled(page)
    visitor.open(**address(team.project, 3, as_of=team.elsewhere))
    expect(page.get_by_role("region", name="The past is shown")).to_contain_text(f"Position {team.elsewhere}")
    expect(page.get_by_role("button", name="+ New project")).to_have_count(0)


def test_a_viewer_sees_numbers_and_templates_and_slots_and_no_names(team: Team, visitors: Any) -> None:
    visitor = team.visit(visitors, "viewer")
    page = visitor.open(**address(team.project, 3))
    expect(cell_of(page, day(3)).locator(".figure")).to_have_text("30")
    expect(page.get_by_text("Booking needs the role member")).to_be_visible()
    expect(page.get_by_role("button", name="Book", exact=True)).to_have_count(0)
    views = page.get_by_role("navigation", name="Views").get_by_role("link").all_inner_texts()
    assert views == ["Calendar", "Where is it free", "Set up"]
    page.get_by_role("button", name="Template", exact=True).click()
    page.get_by_label("How many").fill("4")
    slots = page.get_by_role("group", name="The earliest times at which it fits")
    expect(slots.get_by_role("button").first).to_be_visible()
    for view in ("calendar", "free", "bookings", "conflicts", "history", "setup"):
        visitor.open(**address(team.project, 30, view=view))
        settled_without_stream(page)
        told = page.locator("body").inner_text()
        assert not [name for name in ("teaching", "spark", "Root", "egi:") if name in told], view
        assert findings(page) == []
    visitor.open(**address(team.project, 3, as_of=team.elsewhere))
    settled_without_stream(page)
    visitor.open(**address(team.project, 30, view="bookings"))
    expect(page.get_by_role("heading", name="That is not for you yet.")).to_be_visible()


def settled_without_stream(page: Page) -> None:
    page.locator(".bottom .live.polling").wait_for()
    expect(page.locator("[aria-busy]")).to_have_count(0)


def test_a_reader_learns_who_can_give_the_right_to_book(team: Team, visitors: Any) -> None:
    page = team.visit(visitors, "reader").open(**address(team.project, 3, view="bookings"))
    page.locator(".gantt-bar").first.click()
    card = page.get_by_role("region", name="Booking", exact=True)
    expect(card).to_contain_text(f"Changing a booking needs the role member on {team.project.id}.")
    expect(card).to_contain_text("It can be given by Root Surname")
    expect(card.get_by_role("button", name="Cancel booking")).to_have_count(0)


def test_a_member_books_for_their_own_account_and_changes_nothing_of_others(team: Team, visitors: Any) -> None:
    page = team.visit(visitors, "member").open(**address(team.project, 5))
    account = page.get_by_label("Account", exact=True)
    expect(account).to_have_value("spark")
    assert account.get_by_role("option").all_inner_texts() == ["spark"]
    cell_of(page, day(5)).click()
    page.get_by_label("Cores", exact=True).fill("7")
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_text("Booked.", exact=True)).to_be_visible()
    page.get_by_role("button", name="Show it").click()
    card = page.get_by_role("region", name="Booking", exact=True)
    expect(card).to_contain_text(f"{team.people['member'].title()} Surname")
    card.get_by_role("button", name="Cancel booking").click()
    card.get_by_role("button", name="Cancel the booking").click()
    expect(card).to_have_count(0)
    page.goto(f"{team.house.url}/?pool={team.project.id}&tz=UTC&date={midnight(3):%Y-%m-%d}")
    cell_of(page, day(3)).click()
    page.get_by_role("region", name="Booked in these hours").get_by_role("button", name="teaching").click()
    expect(card).to_contain_text("or being a member of the account teaching")
    expect(card.get_by_role("button", name="Amend")).to_have_count(0)


def test_a_form_that_is_not_for_somebody_says_which_role_it_needs(team: Team, visitors: Any) -> None:
    page = team.visit(visitors, "member").open(**address(team.project, view="setup", form="roles"))
    panel = page.get_by_role("region", name="Not for you yet")
    expect(panel).to_contain_text(f"Setting this up needs the role admin on {team.project.id}.")
    expect(panel).to_contain_text("Root Surname")


def test_what_is_not_offered_is_refused_all_the_same(team: Team, visitors: Any) -> None:
    visitor = team.visit(visitors, "reader")
    page = visitor.open(**address(team.project, 3))
    settled(page)
    send = """(body) => fetch("./bookings/create", {method: "POST", body: JSON.stringify(body),
        headers: {"Content-Type": "application/json"}}).then(async (answer) => [answer.status, await answer.json()])"""
    span = {"startdate": iso(midnight(3)), "enddate": iso(midnight(4)), "cores": 1}
    status, problem = page.evaluate(send, {"project": team.project.id, "account": "spark", **span})
    assert (status, problem["code"], problem["needs"]) == (403, "forbidden", "member")
    visitor.complaints.clear()  # of that


def test_a_right_that_ends_is_no_longer_offered(team: Team, visitors: Any) -> None:
    name = somebody("leaving")
    role = {"pool": team.project.id, "role": "manager", "member": f"egi:{name}"}
    team.project.post("/roles/grant", **role)
    visitor = visitors(url=team.house.url, cookie=team.house.cookie(name))
    page = visitor.open(**address(team.project, 3))
    page.get_by_label("Cores", exact=True).fill("7")
    expect(page.get_by_role("link", name="Bookings", exact=True)).to_be_visible()
    team.project.post("/roles/grant", **{**role, "role": "viewer"})
    team.project.post("/roles/revoke", **role)
    expect(page.get_by_text("Booking needs the role member")).to_be_visible()
    expect(page.get_by_role("link", name="Bookings", exact=True)).to_have_count(0)
    assert "teaching" not in page.locator("body").inner_text()
    visitor.complaints.clear()  # what it asked before it knew was refused


def test_history_names_people_and_says_how_they_were_proven(team: Team, visitors: Any) -> None:
    page = team.visit(visitors, "reader").open(**address(team.project, view="history"))
    page.get_by_label("Where").select_option(f"in {team.project.id}")
    page.get_by_label("What").select_option("Roles and members")
    events = page.locator(".events li")
    member = f"{team.people['member'].title()} Surname"
    added = events.filter(has_text=f"Root Surname added {member} to the account spark of {team.project.id}.")
    expect(added).to_contain_text("proven by OpenID Connect")
    given = f"Root Surname gave {member} the role member on {team.project.id}."
    expect(events.filter(has_text=given)).to_have_count(1)
    expect(page.get_by_label("What").get_by_role("option", name="What was refused")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_what_is_for_people_who_sign_in_fits_and_is_accessible(
    team: Team, visitors: Any, scheme: str, width: int
) -> None:
    visitor = team.visit(visitors, "admin", scheme=scheme, width=width)
    page = visitor.page
    for view in (
        {},
        {"view": "history"},
        *({"view": "setup", "form": form} for form in ("roles", "account", "tokens", "feeds")),
    ):
        settled(visitor.open(**address(team.project, 3, **view)))
        assert findings(page) == [], view
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
    page.get_by_role("button", name="You are").click()
    expect(page.get_by_role("region", name="You", exact=True)).to_contain_text("admin")
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
