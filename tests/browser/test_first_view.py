"""The first view over a slow link: few requests, and few that wait for one another."""

from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import Project
from tests.browser.test_calendar import address

LATENCY_MS = 50
SOON_MS = 5000  # on this machine alone it takes 700; others load it


def test_the_first_view_over_a_slow_link_is_there_soon(project: Project, visitors: Any) -> None:
    visitor = visitors()
    link = visitor.context.new_cdp_session(visitor.page)
    link.send("Network.enable")
    link.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": LATENCY_MS, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    page = visitor.open(**address(project))
    expect(page.locator(".cell.now .figure")).to_have_text("100")
    taken = page.evaluate(
        """performance.getEntriesByType("resource").map(({name, startTime, responseEnd}) =>
            ({name, path: new URL(name).pathname, start: startTime, end: responseEnd}))"""
    )
    assert twice_under_way(taken) == []
    started: dict[str, float] = {}
    for one in taken:
        started.setdefault(one["path"].split("/", 3)[-1] if "/assets/" in one["path"] else one["path"], one["start"])
    script_there = next(one["end"] for one in taken if one["path"].endswith("/all.js"))
    at_once = {"/me", *(one for one in started if one.endswith((".js", ".css", ".woff2")))}
    assert at_once == {"/me", "theme.js", "all.js", "style/all.css", "vendor/inter.woff2"}
    assert [one for one in at_once if started[one] >= script_there] == []
    assert [one["path"] for one in taken if one["path"] == "/me"] == ["/me"]
    assert len(taken) <= 20
    assert max(one["start"] for one in taken if one["path"] == "/available/select") < SOON_MS


def twice_under_way(taken: list[dict[str, Any]]) -> list[str]:
    """The addresses that were asked again before their answer was there. But for /health: one of its reads must begin
    after the stream of events."""
    ends: dict[str, float] = {}
    found = []
    for one in sorted((one for one in taken if one["path"] != "/health"), key=lambda one: one["start"]):
        if one["start"] < ends.get(one["name"], 0.0):
            found.append(one["name"])
        ends[one["name"]] = one["end"]
    return found
