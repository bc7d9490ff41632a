"""The command line's credential: from the environment, from a private file, and to no address but the one given."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from services.cli.access.roles import change
from services.cli.client import Client, NotSignedIn, is_private
from services.cli.credential import credential_headers
from services.cli.failure import Failure

SECRET = "hbk_mine"


class Server:
    """Answers every request with `status`, and keeps the headers of each."""

    def __init__(self, status: int, location: str = "") -> None:
        self.status, self.location, self.got = status, location, list[dict[str, str]]()
        self.url, self.text = "", ""

    async def answer(self, request: web.Request) -> web.Response:
        self.got.append(dict(request.headers))
        return web.Response(
            status=self.status, text=self.text, headers={"Location": self.location} if self.location else None
        )


@pytest.fixture
async def servers() -> AsyncIterator[tuple[Server, Server]]:
    """A server that sends every request on to the other one."""
    runners, other = [], Server(200)
    sending = Server(307)
    for server in (other, sending):
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", server.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        runners.append(runner)
    sending.location = f"{other.url}/elsewhere"
    yield sending, other
    await asyncio.gather(*(runner.cleanup() for runner in runners))


@pytest.mark.parametrize("credential", [{"Authorization": f"Bearer {SECRET}"}, {"X-Auth-Token": SECRET}])
async def test_a_credential_follows_no_redirect(servers: tuple[Server, Server], credential: dict[str, str]) -> None:
    sending, other = servers
    async with Client(sending.url, "tests", credential=credential) as client:
        for asked in (client.get("/events", {}), client.post("/projects/create", {}), client.send("/x", None, "key")):
            with pytest.raises(Failure, match=r"sends requests on to http.*--url"):
                await asked
    assert [headers[name] for headers in sending.got for name in credential] == list(credential.values()) * 3
    assert other.got == []


async def test_a_credential_that_is_not_taken_is_never_shown(servers: tuple[Server, Server]) -> None:
    server = servers[0]
    server.status, server.location = 401, ""
    async with Client(server.url, "tests", credential={"Authorization": f"Bearer {SECRET}"}) as client:
        with pytest.raises(NotSignedIn) as refused:
            await client.get("/events", {})
    assert "HOURBOOK_TOKEN_FILE" in str(refused.value)
    assert SECRET not in str(refused.value)


async def test_a_refusal_that_is_no_document_is_said_too(servers: tuple[Server, Server]) -> None:
    server = servers[0]
    server.status, server.location, server.text = 413, "", "too large for this proxy"
    async with Client(server.url, "tests", credential={}) as client:
        with pytest.raises(Failure, match="too large for this proxy"):
            await change(client, "grant", "gaia", "manager", "egi:ada", None)


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://hourbook.example", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://localhost", True),
        ("http://hourbook.example", False),
        ("http://127.0.0.1.example", False),
    ],
)
def test_a_token_that_others_on_the_way_could_read_is_said(url: str, private: bool) -> None:
    assert is_private(url) is private


def test_the_environment_names_one_credential(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    assert credential_headers({}) == {}
    assert credential_headers({"HOURBOOK_TOKEN": SECRET}) == {"Authorization": f"Bearer {SECRET}"}
    assert credential_headers({"HOURBOOK_TOKEN_FILE": str(file)}) == {"Authorization": f"Bearer {SECRET}"}
    for mode in (0o640, 0o604, 0o666):
        file.chmod(mode)
        with pytest.raises(Failure, match="chmod 600"):
            credential_headers({"HOURBOOK_TOKEN_FILE": str(file)})
    for wrong in (
        {"HOURBOOK_TOKEN": SECRET, "HOURBOOK_TOKEN_FILE": str(file)},
        {"HOURBOOK_TOKEN": f"{SECRET} and more"},
        {"HOURBOOK_TOKEN": f"{SECRET}\r\nX-Other: 1"},
        {"HOURBOOK_TOKEN_FILE": str(tmp_path / "none")},
    ):
        with pytest.raises(Failure) as failed:
            credential_headers(wrong)
        assert SECRET not in str(failed.value)
