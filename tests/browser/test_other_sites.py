"""A page of another origin, in a real browser: it changes nothing here, and reads nothing of what is here."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from shared.identity.credentials import COOKIE
from tests.browser.conftest import Project, Up
from tests.browser.house import House, somebody
from tests.browser.test_manners import INTERFACE_MS

# Every way in which a page can send something elsewhere. Each adds a line to `said`: what the page could see of it.
TRIES = """
async ([url, id]) => {
  const body = (way) => JSON.stringify({id: `${id}-${way}`, name: "evil"});
  const target = `${url}/projects/create`;
  const seen = (way, promise) => promise.then((found) => [way, found], (error) => [way, error.name]);
  const fetched = (way, options) => seen(way, fetch(target, {method: "POST", body: body(way), ...options}).then(
    async (answer) => `${answer.type} ${answer.status} ${await answer.text()}`));
  const read = (path) => seen(path, fetch(url + path).then((answer) => answer.text()));
  const loaded = (way, element) => seen(way, new Promise((done) => {
    element.onload = () => done("loaded");
    element.onerror = () => done("failed");
    document.body.append(element);
  }));
  const make = (name, fields) => Object.assign(document.createElement(name), fields);
  const form = (way, enctype) => {
    const frame = make("iframe", {name: way});
    const sent = make("form", {action: target, method: "post", enctype, target: way});
    const [name, value] = body(way).split("evil");
    sent.append(make("input", {name: name + "evil", value}));
    document.body.append(frame, sent);
    const done = new Promise((resolve) => { frame.onload = () => resolve(String(frame.contentDocument)); });
    sent.submit();
    return seen(way, done);
  };
  const stream = new Promise((done) => {
    const source = new EventSource(`${url}/events/stream?after=0`);
    source.onmessage = (event) => done(event.data);
    source.onerror = () => { source.close(); done("failed"); };
  });
  navigator.sendBeacon(target, body("beacon"));
  navigator.sendBeacon(target, new Blob([body("blob")], {type: "text/plain"}));
  return Object.fromEntries(await Promise.all([
    fetched("simple", {mode: "no-cors", headers: {"Content-Type": "text/plain"}}),
    fetched("plain", {headers: {"Content-Type": "text/plain"}}),
    fetched("json", {headers: {"Content-Type": "application/json"}}),
    fetched("hidden", {mode: "no-cors", referrerPolicy: "no-referrer", credentials: "include"}),
    fetched("delete", {method: "DELETE"}),
    read("/projects"), read("/events"), read("/health"), read("/schema/openapi.json"), read("/"),
    loaded("script", make("script", {src: `${url}/events`})),
    loaded("image", make("img", {src: `${url}/available/select`})),
    loaded("style", make("link", {rel: "stylesheet", href: `${url}/projects`})),
    form("form", "text/plain"), form("parts", "multipart/form-data"),
    form("usual", "application/x-www-form-urlencoded"),
    seen("stream", stream),
  ]));
}
"""


class Elsewhere(BaseHTTPRequestHandler):
    """An empty page of a stranger."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>elsewhere</title><link rel=icon href='data:,'><body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def stranger_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


# Another site; and the same site at another port, which is another origin.
@pytest.fixture(params=["localhost", "127.0.0.1"])
def stranger(request: pytest.FixtureRequest, browser: Browser, stranger_port: int) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://{request.param}:{stranger_port}/")
    yield page
    context.close()


def head(up: Up) -> int:
    return int(httpx.get(f"{up.url}/health").json()["head"])


def test_a_strangers_page_changes_nothing_and_reads_nothing(up: Up, project: Project, stranger: Page) -> None:
    before, asked = head(up), []
    stranger.on("request", lambda request: asked.append(request.url))
    said = stranger.evaluate(TRIES, [up.url, f"evil-{project.id}"])
    assert sum(url == f"{up.url}/projects/create" for url in asked) >= 8  # the browser did send them
    assert head(up) == before
    projects = httpx.get(f"{up.url}/projects").text
    assert f'"{project.id}"' in projects
    assert "evil" not in projects
    assert {said.pop(way) for way in ("form", "parts", "usual")} == {"null"}  # a frame that it cannot look into
    assert set(said.values()) == {"failed", "TypeError"}, said


def test_a_strangers_page_acts_with_nobodys_session(house: House, stranger: Page) -> None:
    root = house.root()
    session = {"name": COOKIE, "value": root["Cookie"].partition("=")[2], "secure": True, "httpOnly": True}
    stranger.context.add_cookies([{**session, "url": house.url.replace("http:", "https:"), "sameSite": "Lax"}])
    known = f"evil-{somebody('try')}"
    said = stranger.evaluate(TRIES, [house.url, known])
    assert known not in house.get("/projects", root).text
    assert {said.pop(way) for way in ("form", "parts", "usual")} == {"null"}
    assert set(said.values()) == {"failed", "TypeError"}, said


def test_a_strangers_page_has_no_frame_and_no_window_of_ours(up: Up, stranger: Page) -> None:
    frame = "(url) => document.body.append(Object.assign(document.createElement('iframe'), {src: url}))"
    with stranger.expect_event("console", lambda message: "frame-ancestors" in message.text):
        stranger.evaluate(frame, up.url)
    with stranger.context.expect_page() as opened:
        stranger.evaluate("(url) => { window.ours = window.open(url); }", up.url)
    expect(opened.value).to_have_title(re.compile("Hourbook"))
    stranger.wait_for_function("window.ours.closed")  # to the stranger the window is gone, and so is its content
    assert opened.value.evaluate("window.opener") is None


def test_the_page_itself_goes_on(up: Up, project: Project, browser: Browser) -> None:
    for name in ("127.0.0.1", "localhost"):
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{up.url.replace('127.0.0.1', name)}/")
        send = """(id) => fetch("/projects/create", {method: "POST", body: JSON.stringify({id, name: id}),
            headers: {"Content-Type": "application/json"}}).then((answer) => answer.status)"""
        assert page.evaluate(send, f"{project.id}-{name.replace('.', '-')}") == 201
        context.close()


def test_the_page_of_the_interface_is_shown_without_a_complaint(up: Up, browser: Browser) -> None:
    context, wrong = browser.new_context(), []
    page = context.new_page()
    page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    page.goto(f"{up.url}/schema/command")
    page.locator(".opblock-post").first.wait_for(timeout=INTERFACE_MS)
    assert wrong == []
    context.close()
