"""No secret leaves its place: not in a log at its lowest level, not in an answer, a metric, or the database."""

import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from services.command.app import create_app as create_command
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app as create_query
from services.query.settings import Settings as QuerySettings
from shared.identity.secrets import FEED, SESSION, TOKEN, hash_of, new_secret
from tests.support.backends import as_role, connected
from tests.support.columns import places_of
from tests.support.listening import listening
from tests.support.signed_in import ADMIN, auth_file, signed_in

ISSUED, KEYSTONE = "eyJhbGciOiJub25lIn0.bWFya2VkLWFjY2Vzcy10b2tlbg.", "gAAAAABmarkedkeystonetoken"


class Services:
    """The command and the query service on real sockets, with the log of both. Their answers are kept."""

    def __init__(self, command: str, query: str) -> None:
        self.command, self.query = httpx.AsyncClient(base_url=command), httpx.AsyncClient(base_url=query)
        self.told: list[str] = []

    async def ask(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> httpx.Response:
        client = self.query if method == "GET" else self.command
        answer = await client.request(method, path, json=body, headers=headers)
        self.told.append(f"{method} {path.partition('?')[0]}: {answer.headers} {answer.text}")
        return answer


@pytest.fixture
async def services(database_url: str, tmp_path: Path) -> AsyncIterator[Services]:
    file = auth_file(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        urls = [
            await stack.enter_async_context(listening(app))
            for app in (
                create_command(CommandSettings(database_url=as_role(database_url, "command"), auth_file=file)),
                create_query(QuerySettings(database_url=as_role(database_url, "query"), auth_file=file)),
            )
        ]
        services = Services(*urls)
        await stack.enter_async_context(services.command)
        await stack.enter_async_context(services.query)
        yield services


async def test_no_secret_is_in_a_log_an_answer_a_metric_or_the_database(
    services: Services, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    root = await signed_in(database_url, ADMIN)
    session = root["Cookie"].partition("=")[2]
    await services.ask("POST", "/projects/create", root, {"id": "gaia", "name": "Gaia"})
    body = {"name": "sync", "limits": [{"role": "admin", "pool": "gaia"}]}
    made = await services.ask("POST", "/tokens/create", root | {"Idempotency-Key": "one"}, body)
    feed = await services.ask("POST", "/feeds/create", root, {"path": "/accounts/ada.ics"})
    services.told.clear()  # these two answers are the ones that show them
    token, address = made.json()["secret"], urlsplit(feed.json()["address"])
    key = address.query.removeprefix("key=")
    await services.ask("POST", "/tokens/create", root | {"Idempotency-Key": "one"}, body)

    program = {"Authorization": f"Bearer {token}"}
    unknown = [new_secret(kind) for kind in (TOKEN, SESSION, FEED)]
    wrong = [
        {"Authorization": f"Bearer {unknown[0]}"},
        {"Authorization": f"Bearer {token[:-1]}x"},
        {"Authorization": f"Basic {token}"},
        {"Authorization": f"Bearer {ISSUED}"},
        {"X-Auth-Token": KEYSTONE},
        program | {"X-Auth-Token": KEYSTONE},
        {"Cookie": f"__Host-hourbook={unknown[1]}"},
        {"Cookie": f"__Host-hourbook={session}x"},
    ]
    for headers in (program, root, *wrong):
        await services.ask("POST", "/templates/create", headers, {"project": "gaia", "name": "a", "cores": 1})
        await services.ask("POST", "/projects/create", headers, {"id": "No"})
        await services.ask("POST", "/bookings/create", headers, {"project": "gaia", "account": "a", "cores": 1})
        for path in ("/tokens", "/feeds", "/people?ids=egi:root", "/projects", "/nothing", "/refusals"):
            await services.ask("GET", path, headers)
    assert (await services.ask("GET", f"{address.path}?key={key}", {})).status_code == 200
    for path in ("/accounts/eve.ics", "/nothing", address.path):
        for query in (f"key={key}&tz=Nowhere", f"key={key}&key={key}", f"key={unknown[2]}", f"key={key}&x=1"):
            await services.ask("GET", f"{path}?{query}", {})
            await services.ask("POST", f"{path}?{query}", {})
    for method in ("GET", "POST"):
        await services.ask(method, "/metrics", root)
    metrics = await services.command.get("/metrics", headers=root)
    assert metrics.status_code == 200

    # What the test's own client logs is no log of a service.
    log = [
        f"{one.getMessage()} {one.exc_text}" for one in caplog.records if not one.name.startswith(("httpx", "httpcore"))
    ]
    assert any("made the token" in line for line in log)
    said = "\n".join([*log, *services.told, metrics.text])
    secrets = [token, session, key, *unknown, ISSUED, KEYSTONE]
    assert [secret for secret in secrets if secret in said] == []
    assert [secret for secret in secrets if hash_of(secret).hex() in said] == []
    async with connected(database_url) as connection:
        assert {secret: places for secret in secrets if (places := await places_of(connection, secret))} == {}
