"""Strangers, ways to sign in, signing out, and a session that ends while somebody types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from shared.identity.credentials import COOKIE
from shared.identity.roles import Limit
from tests.browser.conftest import Project, Visitor, new_project
from tests.browser.house import TITLE, House, somebody
from tests.browser.test_calendar import address
from tests.browser.test_manners import findings, settled
from tests.support.running import until


@pytest.fixture
def shared(house: House) -> Iterator[Project]:
    """A project of `egi:root`, with 100 cores."""
    with new_project(house.url, somebody("shared-"), house.root(), name="Shared science platform") as project:
        yield project


def fill_in(page: Page, user: str) -> None:
    """The provider's forms: who signs in, and the password."""
    for field, value in (("login", user), ("password", user * 2)):
        page.locator(f"input[name={field}]").fill(value)
        page.locator(f"input[name={field}]").press("Enter")


def stored(page: Page) -> str:
    """Everything that the page keeps in the browser where scripts can read it."""
    return str(
        page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    )


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_a_stranger_sees_how_to_sign_in_and_nothing_of_any_project(
    house: House, shared: Project, visitors: Any, size: tuple[int, int]
) -> None:
    visitor = visitors(url=house.url, width=size[0], height=size[1])
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url.removeprefix(house.url)))
    page = visitor.open(**address(shared, 3, view="history"))
    expect(page.get_by_role("heading", name="Sign in to see it")).to_be_visible()
    expect(page.get_by_role("link", name=f"Sign in with {TITLE}")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert shared.id not in page.locator("body").inner_text()
    assert [path for path in asked if not path.startswith(("/assets/", "/?"))] == ["/me", "/sign-in/ways"]
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert findings(page) == []


def test_somebody_signs_in_with_a_token_and_out_again(house: House, shared: Project, visitors: Any) -> None:
    visitor = visitors(url=house.url)
    visitor.may_be_signed_out = True  # one token is wrong
    page = visitor.open(**address(shared, 3))
    page.get_by_text("With a token").click()
    field = page.get_by_label("Token", exact=True)
    assert field.get_attribute("type") == "password"
    field.fill("hbk_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The credential is not valid")
    token = house.token(Limit("reader", shared.id))
    field.fill(token)
    page.keyboard.press("Enter")
    expect(page.locator(".cell.now")).to_contain_text("100")
    assert token not in stored(page)
    assert token not in page.content()
    page.get_by_role("button", name="You are test").click()
    expect(page.get_by_role("region", name="You", exact=True)).to_contain_text(f"reader on {shared.id}")
    secret = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == COOKIE)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to see it")).to_be_visible()
    assert shared.id not in page.locator("body").inner_text()
    until(lambda: house.get("/me", {"Cookie": f"{COOKIE}={secret}"}).status_code == 401)


def signed_in_at_the_provider(house: House, visitors: Any, user: str, **where: str) -> Visitor:
    """Goes from the page of a stranger through the provider's forms."""
    house.provider.user(user)
    visitor: Visitor = visitors(url=house.url)
    visitor.may_be_signed_out = True
    page = visitor.open(**where)
    page.get_by_role("link", name=f"Sign in with {TITLE}").click()
    fill_in(page, user)
    page.wait_for_url(f"{house.url}/**")
    return visitor


def test_somebody_signs_in_at_the_provider_and_comes_back_to_the_same_view(
    house: House, shared: Project, visitors: Any
) -> None:
    user = somebody("hedy")
    shared.post("/roles/grant", pool=shared.id, role="reader", member=f"iam:{user}")
    page = signed_in_at_the_provider(house, visitors, user, **address(shared, 3, view="history")).page
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    name = page.get_by_role("button", name=f"You are {user.title()}")
    name.click()
    about = page.get_by_role("region", name="You", exact=True)
    expect(about).to_contain_text(f"iam:{user}")
    expect(about).to_contain_text("OpenID Connect")
    page.keyboard.press("Escape")
    expect(about).to_be_hidden()
    expect(name).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sign out")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile("You are signed out here|Sign in to see it"))).to_be_visible()
    assert shared.id not in page.locator("body").inner_text()


def test_a_session_that_ends_while_somebody_types_loses_nothing(house: House, shared: Project, visitors: Any) -> None:
    user = somebody("mary")
    shared.post("/roles/grant", pool=shared.id, role="member", member=f"iam:{user}")
    page = signed_in_at_the_provider(house, visitors, user, **address(shared, 3)).page
    expect(page.get_by_label("Account", exact=True)).to_have_value(f"iam:{user}")
    page.get_by_label("Servers", exact=True).fill("3")
    secret = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == COOKIE)
    assert httpx.post(f"{house.url}/sign-out", headers={"Cookie": f"{COOKIE}={secret}"}).status_code == 200
    again = page.get_by_role("alert", name="Sign in again")
    expect(again).to_contain_text("Your session has ended")  # its event stream has told the page
    page.get_by_label("Cores", exact=True).fill("24")
    assert findings(page) == []
    with page.expect_popup() as popup:
        again.get_by_role("link", name=f"Sign in with {TITLE}").click()
    popup.value.wait_for_url(f"{house.url}/**")  # the provider still knows who it is
    expect(again).to_have_count(0)
    expect(page.get_by_label("Servers", exact=True)).to_have_value("3")
    expect(page.get_by_label("Cores", exact=True)).to_have_value("24")
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_text("Booked.", exact=True)).to_be_visible()


def test_where_nobody_signs_in_the_name_is_said_to_be_unproven(project: Project, visitor: Visitor) -> None:
    page = visitor.open()
    settled(page)
    expect(page.get_by_label("Your name, kept in the history. Nobody proves it.")).to_be_visible()
    expect(page.get_by_text("not proven")).to_be_visible()
    expect(page.get_by_role("button", name="You are")).to_have_count(0)
    visitor.open(pool=project.id, view="setup", form="tokens")
    forms = page.get_by_role("group", name="What to set up").get_by_role("button")
    expect(forms).to_have_text(["Project", "Grant", "Cluster", "Resize", "Template", "Account"])
