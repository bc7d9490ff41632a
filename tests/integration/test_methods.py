"""Every path of both services, and of the one address: HEAD as GET, OPTIONS and 405 with `Allow`, and 404."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from services.command.app import create_app as create_command
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app as create_query
from services.query.settings import Settings
from shared.http.owners import SIGN_IN
from tests.integration.test_read_matrix import BESIDE, READS
from tests.support.listening import BOUND_S, Addresses, one_address
from tests.support.marked import marked
from tests.support.signed_in import ADMIN, auth_file, signed_in

READ = {"GET", "HEAD"}
ALL = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
FEW = ("GET", "POST", "PUT")
FILLED = "01890000-0000-7000-8000-000000000000"  # a parameter of a path; a number gets 1
OF_THE_CALL = ("date", "x-request-id")  # headers that differ from call to call


class Services(NamedTuple):
    """The paths of each service with their methods, and the addresses."""

    query: Mapping[str, set[str]]
    command: Mapping[str, set[str]]
    addresses: Addresses


def methods_of(app: Litestar) -> Mapping[str, set[str]]:
    """By path, its parameters filled in: the methods that it takes."""
    found: dict[str, set[str]] = defaultdict(set)
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            path = re.sub(r"\{\w+:\w+\}", FILLED, route.path.replace(":int}", "}").replace("{position}", "1"))
            found[path] |= {str(method) for method in route.route_handler_map} | {"OPTIONS"}
            if "GET" in found[path]:
                found[path].add("HEAD")
    return found


@pytest.fixture
async def services(database_url: str) -> AsyncIterator[Services]:
    query = create_query(Settings(database_url=database_url))
    command = create_command(CommandSettings(database_url=database_url, nats_url="nats://127.0.0.1:1"))
    async with one_address(query, command) as addresses:
        yield Services(methods_of(query), methods_of(command), addresses)


def of_both(services: Services) -> Mapping[str, set[str]]:
    """The one address: reads of the query service, all else of the command service, which also gets all of /sign-in."""
    found: dict[str, set[str]] = defaultdict(lambda: {"OPTIONS"})
    for path, methods in services.query.items():
        found[path] |= methods & READ
    for path, methods in services.command.items():
        found[path] |= methods - (set() if path.startswith(SIGN_IN) else READ)
    return {path: methods for path, methods in found.items() if methods != {"OPTIONS"}}


async def faults(client: httpx.AsyncClient, path: str, methods: set[str], tried: Sequence[str]) -> list[Any]:
    """What is wrong with the answers to OPTIONS, and to those of the methods that the path does not take."""
    allow = ", ".join(sorted(methods))
    wrong: list[Any] = []
    for method in ("OPTIONS", *(method for method in tried if method not in methods)):
        answer = await client.request(method, path)
        told = answer.status_code, answer.headers.get("allow")
        if told != ((204 if method == "OPTIONS" else 405), allow):
            wrong.append((method, path, told, allow))
        elif method not in ("OPTIONS", "HEAD") and answer.json()["code"] != "http_405":
            wrong.append((method, path, answer.text))
    return wrong


@pytest.mark.parametrize("where", ["query", "command", "handed", "passed"])
async def test_options_and_405_say_what_each_path_takes(services: Services, where: str) -> None:
    paths = {"query": services.query, "command": services.command}.get(where, of_both(services))
    assert len(paths) > 40
    async with httpx.AsyncClient(base_url=getattr(services.addresses, where), timeout=BOUND_S) as client:
        for path, methods in sorted(paths.items()):
            assert await faults(client, path, methods, ALL if where in ("query", "command") else FEW) == []
        for method in ALL:
            answer = await client.request(method, "/zz/zz/zz/zz/zz/zz")
            assert (answer.status_code, answer.headers.get("allow")) == (404, None), method
            assert method == "HEAD" or answer.json()["code"] == "http_404"


async def test_a_read_of_a_commands_path_is_told_to_post_where_people_sign_in_too(
    database_url: str, tmp_path: Path
) -> None:
    options: Any = {"database_url": database_url, "auth_file": auth_file(tmp_path)}
    async with (
        one_address(
            create_query(Settings(**options)),
            create_command(CommandSettings(nats_url="nats://127.0.0.1:1", **options)),
            signed_in=True,
        ) as addresses,
        httpx.AsyncClient(base_url=addresses.handed, headers=await signed_in(database_url, ADMIN)) as client,
    ):
        for path in ("/projects/create", "/bookings/create"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
        assert (await client.get("/projects/nope.ics")).status_code == 404


@pytest.mark.odd_store
async def test_head_of_every_read_is_its_get_without_the_body(database_url: str, tmp_path: Path) -> None:
    async with marked(database_url, tmp_path) as ground:
        for headers in (await signed_in(database_url, ADMIN), await signed_in(database_url, "egi:viewer-gaia"), {}):
            for path in [one.path for reads in (*READS.values(), *BESIDE.values()) for one in reads]:
                if path.partition("?")[0].endswith("/stream"):
                    continue  # its GET does not end
                got = await ground.client.get(ground.path(path), headers=headers)
                head = await ground.client.head(ground.path(path), headers=headers)
                assert (head.status_code, head.content) == (got.status_code, b""), path
                assert said(head) == said(got), path


def said(answer: httpx.Response) -> list[tuple[str, str]]:
    """The headers, but for those of the call. /metrics counts the calls themselves."""
    counts = answer.request.url.path == "/metrics"
    skipped = (*OF_THE_CALL, "content-length") if counts else OF_THE_CALL
    return [(name, value) for name, value in answer.headers.multi_items() if name not in skipped]
