"""A small cloud: Keystone v3, Nova, Blazar and Magnum as far as a reader of one project meets them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aiohttp import web

from tests.support.openstack import HEAD, NODE, OWNER, cluster, cluster_template, instances, lease, quota

PASSWORD, TOKEN = "a secret", "token-1"
PORTS = {"compute": "compute/v2.1", "reservation": "reservation/v1", "container-infra": "container-infra/v1"}


class Answers(Protocol):
    """What answers every request to it. `url` is where it listens."""

    url: str

    async def answer(self, request: web.Request) -> web.StreamResponse: ...


C = TypeVar("C", bound=Answers)


class FakeCloud:
    """What it answers may be changed at any time. `broken` paths answer 503; `services` are in its catalogue."""

    def __init__(self) -> None:
        self.quota: dict[str, Any] = quota()
        self.flavors: list[dict[str, Any]] = [NODE, HEAD]
        self.leases: list[dict[str, Any]] = [lease(instances())]
        self.clusters: list[dict[str, Any]] = [cluster()]
        self.templates: list[dict[str, Any]] = [cluster_template()]
        self.broken: set[str] = set()
        self.services = set(PORTS)
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        path = request.path
        self.asked.append(f"{request.method} {request.path_qs}")
        if path == "/identity/v3/auth/tokens" and request.method == "GET":
            return self.looked_at(request.headers.get("X-Subject-Token", ""))
        if path == "/identity/v3/auth/tokens":
            return self.token(await request.json())
        if path in ("/identity", "/identity/v3", "/identity/"):
            return web.json_response({"version": self.version("v3", "identity/v3")})
        if request.headers.get("X-Auth-Token") != TOKEN:
            return web.json_response({"error": {"code": 401, "message": "no token"}}, status=401)
        if path in self.broken:
            return web.json_response({"error_code": 503, "error_message": "it is down"}, status=503)
        return self.document(path, request.query.get("marker"))

    def document(self, path: str, marker: str | None) -> web.Response:
        if path == f"/compute/v2.1/os-quota-sets/{OWNER}":
            return web.json_response(self.quota)
        if path == "/compute/v2.1/flavors/detail":
            return self.page("flavors", "flavors_links", "id", self.flavors, marker, path)
        if path == "/reservation/v1/leases":
            return web.json_response({"leases": self.leases})
        if path == "/container-infra/v1/clusters":
            short = [{name: one[name] for name in ("uuid", "name", "status")} for one in self.clusters]
            return self.page("clusters", "next", "uuid", short, marker, path)
        if path == "/container-infra/v1/clustertemplates":
            return web.json_response({"clustertemplates": self.templates})
        for one in self.clusters:
            if path == f"/container-infra/v1/clusters/{one['uuid']}":
                return web.json_response(one)
        name = path.strip("/").split("/")
        if "/".join(name) in PORTS.values():
            return web.json_response({"version": self.version(name[1], path.strip("/"))})
        return web.json_response({"itemNotFound": {"code": 404, "message": f"no {path}"}}, status=404)

    def page(
        self, name: str, following: str, id_: str, things: list[dict[str, Any]], marker: str | None, path: str
    ) -> web.Response:
        """One thing a page."""
        at = next((number + 1 for number, thing in enumerate(things) if thing[id_] == marker), 0)
        body: dict[str, Any] = {name: things[at : at + 1]}
        if at + 1 < len(things):
            address = f"{self.url}{path}?marker={things[at][id_]}"
            body[following] = address if following == "next" else [{"rel": "next", "href": address}]
        return web.json_response(body)

    def version(self, name: str, path: str) -> dict[str, Any]:
        links = [{"rel": "self", "href": f"{self.url}/{path}/"}]
        return {"id": name, "status": "CURRENT", "version": "2.96", "min_version": "2.1", "links": links}

    def looked_at(self, token: str) -> web.Response:
        """What Keystone says of its token."""
        if token != TOKEN:
            return web.json_response({"error": {"code": 404, "message": "no such token"}}, status=404)
        domain = {"id": "default", "name": "Default"}
        body = {
            "methods": ["password"],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "project": {"id": OWNER, "name": "sky", "domain": domain},
            "roles": [],
            "user": {"id": "u1", "name": "ops", "domain": domain},
        }
        return web.json_response({"token": body})

    def token(self, asked: dict[str, Any]) -> web.Response:
        user = asked["auth"]["identity"]["password"]["user"]
        if user["password"] != PASSWORD:
            return web.json_response({"error": {"code": 401, "message": "that is not the password"}}, status=401)
        catalog = [
            {
                "type": kind,
                "name": kind,
                "id": kind,
                "endpoints": [
                    {
                        "id": kind,
                        "interface": "public",
                        "region": "one",
                        "region_id": "one",
                        "url": f"{self.url}/{PORTS[kind]}",
                    }
                ],
            }
            for kind in sorted(self.services)
        ]
        domain = {"id": "default", "name": "Default"}
        body = {
            "methods": ["password"],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "issued_at": "2026-01-01T00:00:00Z",
            "project": {"id": OWNER, "name": "sky", "domain": domain},
            "catalog": catalog,
            "roles": [],
            "user": {"id": "u1", "name": user["name"], "domain": domain},
            "audit_ids": ["a"],
        }
        return web.json_response({"token": body}, status=201, headers={"X-Subject-Token": TOKEN})

    def clouds_yaml(self, path: Path, password: str = PASSWORD) -> Path:
        """Which is JSON too."""
        auth = {
            "auth_url": f"{self.url}/identity/v3",
            "username": "ops",
            "password": password,
            "project_name": "sky",
            "user_domain_id": "default",
            "project_domain_id": "default",
        }
        path.write_text(json.dumps({"clouds": {"sky": {"auth": auth, "region_name": "one"}}}))
        return path


@contextmanager
def running(cloud: C) -> Iterator[C]:
    """Listens in a thread of its own: what asks it may block."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", cloud.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        cloud.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await over.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield cloud
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(30)
        loop.close()
