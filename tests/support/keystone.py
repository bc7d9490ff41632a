"""The real OpenStack Keystone for tests: from PyPI, on SQLite, in an environment of its own that uv makes.

It starts in about ten seconds, once in a session (in each process of pytest-xdist that needs it). Where it cannot be
installed its tests are skipped, or fail with `--keystone=must`.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from services.cli.up.embedded import free_port
from shared.identity.auth_file import KeystoneIssuer
from tests.support.own_environments import NotInstalled, environment_of, skip_or_fail, without_python

PASSWORD = "of-the-admin"
START_S = 240.0  # ten on a machine that does nothing else


class User(NamedTuple):
    """A user of Keystone who has roles on a project."""

    id: str
    name: str
    password: str
    project: str


class Keystone:
    """A Keystone. `url` is its identity API; everything is in the domain `default`."""

    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        self.url, self._process = url, process
        self._http = httpx.Client(base_url=url, timeout=60)
        self._roles: dict[str, str] = {}
        self._admin = ""

    def issuer(self) -> KeystoneIssuer:
        return KeystoneIssuer(url=self.url)

    def auth_file(self, name: str = "ours", *lines: str) -> str:
        """The lines of an auth file that name it. `lines` go before them."""
        return "\n".join([*lines, f"[keystone.{name}]", f'url = "{self.url}"', ""])

    def project(self, name: str) -> str:
        """Makes a project. Returns its id."""
        return str(self._asked("POST", "/projects", {"project": {"name": name}})["project"]["id"])

    def user(self, name: str, *roles: str, project: str | None = None) -> User:
        """Makes a user with these roles (`member` if there are none) on a project; on a new one of the same name."""
        where = project or self.project(f"{name}-project")
        password = f"of-{name}"
        made = self._asked("POST", "/users", {"user": {"name": name, "password": password}})["user"]
        for role in roles or ("member",):
            self._asked("PUT", f"/projects/{where}/users/{made['id']}/roles/{self.role(role)}")
        return User(made["id"], name, password, where)

    def role(self, name: str) -> str:
        """The id of a role that Keystone's bootstrap makes: reader, member, manager, admin."""
        if name not in self._roles:
            found = self._asked("GET", "/roles")["roles"]
            self._roles = {role["name"]: role["id"] for role in found}
        return self._roles[name]

    def token(self, user: User, scope: Any = "project") -> str:
        """A token by password, for the user's project. `scope`: a scope as Keystone's API has it; None: unscoped."""
        scopes = {"scope": {"project": {"id": user.project}}} if scope == "project" else {"scope": scope or "unscoped"}
        identity = {"methods": ["password"], "password": {"user": {"id": user.id, "password": user.password}}}
        return self._token({"identity": identity, **scopes})

    def application_credential(
        self, user: User, name: str, *roles: str, unrestricted: bool = False, **more: Any
    ) -> tuple[str, str]:
        """Makes an application credential for the user's project, with all of the user's roles there if none is given.
        Returns its id and its secret."""
        wanted: dict[str, Any] = {"name": name, "unrestricted": unrestricted, **more}
        if roles:
            wanted["roles"] = [{"name": role} for role in roles]
        path = f"/users/{user.id}/application_credentials"
        made = self._asked("POST", path, {"application_credential": wanted}, self.token(user))
        return made["application_credential"]["id"], made["application_credential"]["secret"]

    def application_token(self, credential: tuple[str, str]) -> str:
        """A token by an application credential."""
        chosen = {"id": credential[0], "secret": credential[1]}
        return self._token({"identity": {"methods": ["application_credential"], "application_credential": chosen}})

    def trust_token(self, trustor: User, trustee: User, impersonation: bool) -> str:
        """A token with which the trustee acts for the trustor in the trustor's project."""
        trust = {
            "trustor_user_id": trustor.id,
            "trustee_user_id": trustee.id,
            "project_id": trustor.project,
            "impersonation": impersonation,
            "roles": [{"name": "member"}],
        }
        made = self._asked("POST", "/OS-TRUST/trusts", {"trust": trust}, self.token(trustor))
        return self.token(trustee, {"OS-TRUST:trust": {"id": made["trust"]["id"]}})

    def is_valid(self, token: str) -> bool:
        """Whether the token is one that it would take now."""
        headers = {"x-auth-token": token, "x-subject-token": token}
        return self._http.get("/auth/tokens", headers=headers).is_success

    @contextmanager
    def catalogue(self, endpoints: Mapping[str, str]) -> Iterator[None]:
        """The services with these public endpoints are in the catalogue, by their types, until the end of the block."""
        made = []
        for kind, url in endpoints.items():
            service = self._asked("POST", "/services", {"service": {"type": kind, "name": kind}})["service"]["id"]
            made.append(service)
            endpoint = {"service_id": service, "interface": "public", "region_id": "one", "url": url}
            self._asked("POST", "/endpoints", {"endpoint": endpoint})
        try:
            yield
        finally:
            for service in made:
                self._asked("DELETE", f"/services/{service}")

    def clouds_yaml(self, file: Path, user: User, **more: Any) -> Path:
        """Writes a clouds.yaml (JSON is YAML) with the cloud `ours`, where the user signs in. Returns the file."""
        auth = {
            "auth_url": self.url,
            "username": user.name,
            "password": user.password,
            "project_id": user.project,
            "user_domain_id": "default",
        }
        file.write_text(json.dumps({"clouds": {"ours": {"auth": auth, "region_name": "one", **more}}}))
        return file

    def revoke(self, token: str) -> None:
        self._http.delete("/auth/tokens", headers={"x-auth-token": token, "x-subject-token": token}).raise_for_status()

    def grant_on_domain(self, user: User, role: str) -> None:
        self._asked("PUT", f"/domains/default/users/{user.id}/roles/{self.role(role)}")

    @contextmanager
    def silent(self) -> Iterator[None]:
        """It takes connections and answers nothing until the end of the block."""
        first = psutil.Process(self._process.pid)
        running = [first, *first.children(recursive=True)]
        for process in running:
            process.suspend()
        try:
            yield
        finally:
            for process in running:
                process.resume()

    def close(self) -> None:
        self._http.close()

    def _token(self, auth: dict[str, Any]) -> str:
        answer = self._http.post("/auth/tokens", json={"auth": auth})
        answer.raise_for_status()
        return answer.headers["x-subject-token"]

    def _asked(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        answer = self._http.request(method, path, json=body, headers={"x-auth-token": token or self._admin_token()})
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def _admin_token(self) -> str:
        if not self._admin:
            domain = {"name": "Default"}
            user = {"name": "admin", "password": PASSWORD, "domain": domain}
            scope = {"project": {"name": "admin", "domain": domain}}
            self._admin = self._token(
                {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
            )
        return self._admin


@pytest.fixture(scope="session")
def keystone(request: pytest.FixtureRequest) -> Iterator[Keystone]:
    """A Keystone for the whole session."""
    if request.config.getoption("--keystone") == "never":
        pytest.skip("--keystone=never")
    with tempfile.TemporaryDirectory(prefix="hourbook-keystone-") as folder:
        port, output = free_port(), Path(folder) / "output"
        try:
            process = _started(Path(folder), port, output)
        except NotInstalled as why:
            skip_or_fail(request, why)
        try:
            assert _answers(process, port), f"Keystone does not start here: {output.read_text()[-2000:]}"
            found = Keystone(f"http://127.0.0.1:{port}/v3", process)
            yield found
            found.close()
        finally:
            process.communicate(timeout=30)  # it ends when its input does


def _started(folder: Path, port: int, output: Path) -> subprocess.Popen[bytes]:
    python = environment_of("keystone") / "bin/python"
    command = [python, "-P", Path(__file__).with_name("keystone_server.py"), folder, str(port), PASSWORD]
    with output.open("wb") as file:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=file, env=without_python())


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/v3", timeout=5).is_success
        except httpx.HTTPError:
            time.sleep(0.1)
    return False
