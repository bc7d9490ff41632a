"""Roles, members, tokens and feed addresses are given and taken in the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Project, Visitor, midnight, new_project
from tests.browser.house import WAIT_S, House, somebody
from tests.browser.test_calendar import address
from tests.browser.test_manners import settled
from tests.browser.test_signing_in import stored
from tests.support.running import until


@pytest.fixture
def owned(house: House) -> Iterator[Project]:
    """A project with 100 cores."""
    with new_project(house.url, somebody("owned-"), house.root(), name="Owned") as project:
        yield project


@pytest.fixture
def admin(house: House, owned: Project, visitors: Any) -> Visitor:
    name = somebody("ada")
    owned.post("/roles/grant", pool=owned.id, role="admin", member=f"egi:{name}")
    visitor: Visitor = visitors(url=house.url, cookie=house.cookie(name))
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=house.url)
    return visitor


def test_a_role_that_is_given_in_the_page_is_in_force_within_seconds(
    house: House, owned: Project, admin: Visitor, visitors: Any
) -> None:
    name = somebody("new")
    guest = visitors(url=house.url, cookie=house.cookie(name))
    other = guest.open()
    expect(other.get_by_role("heading", name="You have no role yet")).to_be_visible()
    page = admin.open(**address(owned, view="setup", form="roles"))
    page.get_by_role("combobox", name="Id", exact=True).fill(f"egi:{name}")
    page.get_by_label("Role", exact=True).select_option("reader")
    expect(page.get_by_text("This can be done.")).to_be_visible()
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Give the role").click()
    expect(page.get_by_text("The role is given.")).to_be_visible()
    row = page.get_by_role("region", name="Roles", exact=True).get_by_role("row").filter(has_text="reader")
    expect(row).to_contain_text(f"{name.title()} Surname")
    expect(other.locator(".cell.now")).to_contain_text("100")
    row.get_by_role("button", name="Take away the role reader").click()
    expect(row).to_have_count(0)
    expect(other.get_by_role("heading", name="You have no role yet")).to_be_visible()
    guest.complaints.clear()  # what it asked before it knew was refused


def test_roles_that_a_cluster_inherits_are_marked_and_the_last_admin_stays(
    house: House, owned: Project, visitors: Any
) -> None:
    size = {"startdate": f"{midnight(-1):%Y-%m-%dT%H:%M:%SZ}", "enddate": f"{midnight(60):%Y-%m-%dT%H:%M:%SZ}"}
    cluster = owned.post("/clusters/create", parent=owned.id, name="k8s", cores=20, **size)["id"]
    group = {"pool": cluster, "role": "manager", "member": "group:egi:ops"}
    owned.post("/roles/grant", **group)
    cookie = house.root()["Cookie"].partition("=")[2]
    visitor = visitors(url=house.url, cookie=cookie)
    page = visitor.open(pool=cluster, view="setup", form="roles")
    table = page.get_by_role("region", name="The roles as a table")
    expect(table.get_by_role("row").filter(has_text="the group ops of egi")).not_to_contain_text("inherited")
    own = table.get_by_role("row").filter(has_text=owned.id).filter(has_text="admin")
    expect(own).to_contain_text("inherited")
    visitor.complaints.clear()
    own.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_contain_text("admin")
    expect(own).to_have_count(1)
    visitor.complaints.clear()  # of the refusal


def test_a_member_is_added_to_an_account_and_taken_out(house: House, owned: Project, admin: Visitor) -> None:
    owned.post("/accounts/create", project=owned.id, account="spark", limits={})
    name = somebody("mel")
    headers = house.person(name)
    page = admin.open(**address(owned, view="setup", form="account"))
    form = page.get_by_role("form", name="Add a member to an account")
    form.get_by_role("combobox", name="Id", exact=True).fill(f"egi:{name}")
    form.get_by_role("button", name="Add the member").click()
    expect(form.get_by_text("They belong to the account.")).to_be_visible()
    owned.post("/roles/grant", pool=owned.id, role="member", member=f"egi:{name}")
    mine = [{"project": owned.id, "account": "spark"}]
    until(lambda: house.get("/me", headers).json()["accounts"] == mine)
    row = (
        page.get_by_role("region", name="Members", exact=True)
        .get_by_role("row")
        .filter(has_text=f"{name.title()} Surname")
    )
    row.get_by_role("button").click()
    expect(row).to_have_count(0)
    until(lambda: house.get("/me", headers).json()["accounts"] == [])


def shown_once(page: Page, label: str) -> str:
    """The secret that is shown; it is copied, and then put away."""
    field = page.get_by_role("textbox", name=label)
    expect(field).to_be_focused()
    secret = field.input_value()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_role("button", name="I have kept it").click()
    expect(field).to_have_count(0)
    assert secret not in page.content()
    assert secret not in stored(page)
    return secret


def test_a_token_is_shown_once_and_can_be_revoked(house: House, owned: Project, admin: Visitor) -> None:
    page = admin.open(**address(owned, view="setup", form="tokens"))
    page.get_by_label("What it is for").fill("nightly")
    page.get_by_label("Role", exact=True).select_option("member")
    page.get_by_role("button", name="Make the token").click()
    token = {"Authorization": f"Bearer {shown_once(page, 'The token nightly')}"}
    me = house.get("/me", token).json()
    assert me["token"]["limits"] == [{"role": "member", "pool": owned.id}]
    row = page.get_by_role("region", name="Tokens", exact=True).get_by_role("row").filter(has_text="nightly")
    expect(row).to_contain_text(f"member on {owned.id}")
    row.get_by_role("button", name="Revoke the token nightly").click()
    expect(row).to_have_count(0)
    until(lambda: house.get("/me", token).status_code == 401)


def test_a_feed_address_is_made_rotated_and_revoked(owned: Project, admin: Visitor) -> None:
    owned.book("spark", midnight(3), midnight(4), cores=7)
    page = admin.open(**address(owned, 3, view="bookings"))
    page.get_by_role("link", name="Calendar feed").click()
    page.get_by_role("button", name="Make the address").click()
    label = f"The address of the project {owned.id}"
    first = shown_once(page, label)
    assert "BEGIN:VEVENT" in httpx.get(first, timeout=WAIT_S).text
    page.get_by_role("button", name=f"Make anew the address of the project {owned.id}").click()
    second = shown_once(page, label)
    until(lambda: httpx.get(first).status_code == 401)
    assert httpx.get(second).status_code == 200
    page.get_by_role("button", name=f"Revoke the address of the project {owned.id}").click()
    expect(page.get_by_role("region", name="Feed addresses", exact=True)).to_have_count(0)
    until(lambda: httpx.get(second).status_code == 401)


def test_a_token_is_made_by_keyboard_alone(owned: Project, admin: Visitor) -> None:
    page = admin.open(**address(owned, view="setup", form="tokens"))
    settled(page)
    page.get_by_role("button", name="My tokens").focus()
    while page.evaluate("document.activeElement.name") != "token-name":
        page.keyboard.press("Tab")
    page.keyboard.type("typed")
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="The token typed")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Copied.")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("form", name="New token")).to_be_visible()
