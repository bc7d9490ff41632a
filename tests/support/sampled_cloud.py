"""A cloud that answers with the samples of OpenStack's own projects: Nova, Blazar and Magnum of some microversion.

Its Keystone is another server, a real one: `trusts` says whether a token is valid. What it changes in the samples: the
ids of the projects become that of the cloud's project, the node groups get their cluster and the flavor m1.small, and
lists come in pages.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from aiohttp import web

SAMPLES = Path(__file__).with_name("openstack_samples")
OWNERS = ("fake_tenant", "aa45f56901ef45ee95e3d211097c0ea3", "fake_project")
# The types of the services in a catalogue, and the paths of their endpoints.
ENDPOINTS = {"compute": "compute/v2.1", "reservation": "reservation/v1", "container-infra": "container-infra/v1"}
CLUSTER = "746e779a-751a-456b-a3e9-c883d734946f"
HIGHEST = (9, 0)


class Release(NamedTuple):
    """The highest microversions of a release of OpenStack."""

    nova: str
    magnum: str


PIKE, STEIN, NEWEST = Release("2.53", "1.4"), Release("2.72", "1.7"), Release("2.104", "1.14")


class Fault(NamedTuple):
    """An answer that is given in place of the right one."""

    status: int
    body: bytes = b'{"error": {"code": 0, "message": "a fault"}}'
    headers: Mapping[str, str] = MappingProxyType({})


def number(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)


def sample(service: str, name: str, version: str) -> Any:
    """The newest sample that is not newer than the microversion."""
    folders = [one for one in (SAMPLES / service).iterdir() if (one / f"{name}.json").exists()]
    of = [one for one in folders if "." not in one.name or number(one.name) <= number(version)]
    newest = max(of, key=lambda one: number(one.name) if "." in one.name else HIGHEST)
    return json.loads((newest / f"{name}.json").read_text())


class SampledCloud:
    """`faults`: what the next requests to a path get, in order; None: the right answer. `before` is called at each
    request with its path. `per_page`: the things on a page."""

    def __init__(self, project: str, trusts: Callable[[str], bool], release: Release = NEWEST) -> None:
        self.project, self._asks, self.url = project, trusts, ""
        self.reset(release)

    def reset(self, release: Release = NEWEST) -> None:
        """Answers as if nothing had been asked yet."""
        self.release, self.trusts, self._trusted = release, self.remembered, set[str]()
        self.faults: dict[str, list[Fault | None]] = {}
        self.before: Callable[[str], None] = lambda _: None
        self.per_page = 2
        self.groups: list[dict[str, Any]] = sample("magnum", "nodegroup-list", "1.9")["nodegroups"]
        self.asked: list[str] = []

    def remembered(self, token: str) -> bool:
        """Whether the token is valid. A valid one is remembered, as OpenStack's services do."""
        if token not in self._trusted and self._asks(token):
            self._trusted.add(token)
        return token in self._trusted

    async def answer(self, request: web.Request) -> web.Response:
        path = request.path.rstrip("/")
        self.asked.append(request.path_qs)
        self.before(path)
        if (faults := self.faults.get(path)) and (fault := faults.pop(0)) is not None:
            return web.Response(
                status=fault.status, body=fault.body, headers={"Content-Type": "application/json", **fault.headers}
            )
        service = path.split("/")[1]
        if path == f"/{service}" or path in {f"/{endpoint}" for endpoint in ENDPOINTS.values()}:
            return self.versions(service)
        if not await asyncio.to_thread(self.trusts, request.headers.get("X-Auth-Token", "")):
            return web.json_response({"error": {"code": 401, "message": "no valid token"}}, status=401)
        given = request.headers.get("OpenStack-API-Version", "").split()
        return self.document(path, given[1] if len(given) > 1 else None, request.query.get("marker"))

    def versions(self, service: str) -> web.Response:
        name = {"compute": "nova", "container-infra": "magnum"}.get(service)
        if name is None:
            return web.json_response({"versions": [{"id": "v1.0", "status": "CURRENT", "links": []}]}, status=300)
        text = (SAMPLES / name / "versions.json").read_text()
        return web.Response(text=text.replace("http://openstack.example.com", f"{self.url}/compute"))

    def document(self, path: str, version: str | None, marker: str | None) -> web.Response:
        service = path.split("/")[1]
        most = {"compute": self.release.nova, "container-infra": self.release.magnum}.get(service, "1.0")
        if version is not None and number(version) > number(most):
            message = f"Version {version} is not supported by the API. Maximum is {most}."
            return web.json_response(
                {"errors": [{"status": 406, "title": "Not Acceptable", "detail": message}]}, status=406
            )
        version = version or {"compute": "2.1"}.get(service, "1.1")
        match path.split("/")[3:]:
            case ["os-quota-sets", _]:
                return self.said(sample("nova", "quota-set", version))
            case ["flavors", "detail"]:
                return self.page(path, "flavors", "id", sample("nova", "flavors-detail", version)["flavors"], marker)
            case ["leases"]:
                return self.said(sample("blazar", "lease-list", "1.0"))
            case ["clusters"]:
                listed = {**sample("magnum", "cluster-list", version)["clusters"][0], "uuid": CLUSTER}
                return self.page(path, "clusters", "uuid", [listed], marker)
            case ["clusters", uuid] if uuid == CLUSTER:
                return self.said(sample("magnum", "cluster", version))
            case ["clusters", uuid, "nodegroups"] if number(version) >= (1, 9):
                short = [{k: one[k] for k in ("uuid", "name", "role", "node_count")} for one in self.groups]
                return self.page(path, "nodegroups", "uuid", short, marker)
            case ["clusters", uuid, "nodegroups", group] if number(version) >= (1, 9):
                found = next(one for one in self.groups if one["uuid"] == group)
                return self.said({**found, "cluster_id": uuid, "flavor_id": "m1.small"})
            case ["clustertemplates"]:
                things = sample("magnum", "clustertemplate-list", version)["clustertemplates"]
                return self.page(path, "clustertemplates", "uuid", things, marker)
        return web.json_response({"errors": [{"status": 404, "detail": f"no {path}"}]}, status=404)

    def said(self, document: Any) -> web.Response:
        text = json.dumps(document)
        for owner in OWNERS:
            text = text.replace(owner, self.project)
        return web.Response(text=text, content_type="application/json")

    def page(self, path: str, name: str, key: str, things: list[Any], marker: str | None) -> web.Response:
        """A page of a list. The address of the next one names a host of the inside, as behind a proxy."""
        at = next((place + 1 for place, thing in enumerate(things) if thing[key] == marker), 0)
        body: dict[str, Any] = {name: things[at : at + self.per_page]}
        if at + self.per_page < len(things):
            address = f"http://inside.invalid{path}?limit={self.per_page}&marker={body[name][-1][key]}"
            links = [{"rel": "next", "href": address}]
            body |= {"flavors_links": links} if name == "flavors" else {"next": address}
        return self.said(body)
