"""What others do with /entitlements: the real JupyterHub with the example's configuration, and quotas of Kubernetes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from services.cli.up.embedded import free_port, stop_process
from shared.hours import iso, next_hour
from tests.support.own_environments import NotInstalled, environment_of, skip_or_fail, without_python
from tests.support.running import Running, until

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
HOUR = next_hour(datetime.now(UTC))
WAIT_S = 150.0  # a hub starts in three seconds, in half a minute where others use the machine
TOKEN = "0123456789abcdef0123456789abcdef"
_numbers = count(1)


class Pool:
    """A project of its own with 16 cores, and bookings from the running hour on."""

    def __init__(self, up: Running) -> None:
        self.http, self.id = httpx.Client(base_url=up.url, timeout=30), f"obeyed-{next(_numbers)}"
        self.accounts = f"ada-of-{self.id}", f"grace-of-{self.id}"  # what they hold is asked of all pools
        self.post("/projects/create", id=self.id, name=self.id)
        self.post(
            "/resources/create", project=self.id, servers=9, cores=16, memory=65536, userdisc=100, **span(-100, 4000)
        )

    def post(self, path: str, **body: Any) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code == 201, answer.text
        self.position = answer.json()["position"]
        return answer.json()

    def book(self, account: str, start: int, end: int, **counts: int) -> str:
        made = self.post("/bookings/create", project=self.id, account=account, **span(start, end), **counts)
        self.shown(account)
        return str(made["id"])

    def shown(self, account: str) -> None:
        query = {"account": account, "min_position": str(self.position)}
        assert self.http.get("/entitlements", params=query).status_code == 200


def span(start: int, end: int) -> dict[str, str]:
    return {"startdate": iso(HOUR + start), "enddate": iso(HOUR + end)}


@pytest.fixture
def pool(up: Running) -> Iterator[Pool]:
    pool = Pool(up)
    yield pool
    pool.http.close()


@pytest.fixture
def hub(up: Running, pool: Pool, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """The interface of a JupyterHub whose users book in the pool."""
    try:
        programs = environment_of("jupyterhub") / "bin"
    except NotInstalled as why:
        skip_or_fail(request, why)
    port, log = free_port(), tmp_path / "hub.log"
    ours = {"HOURBOOK_URL": up.url, "HOURBOOK_POOL": pool.id, "HUB_FOLDER": str(tmp_path), "HUB_PORT": str(port)}
    environment = {**without_python(), **ours, "HUB_TOKEN": TOKEN, "PATH": f"{programs}:{os.environ['PATH']}"}
    command = [programs / "python", "-m", "jupyterhub", "-f", ROOT / "tests/support/hub_config.py"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment, cwd=tmp_path)
    headers = {"Authorization": f"token {TOKEN}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/hub/api/", headers=headers, timeout=60) as client:
            until(lambda: process.poll() is not None or answers(client), bound_s=WAIT_S)
            assert process.poll() is None, log.read_text()
            yield client
    finally:
        stop_process(process, signal.SIGTERM)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("").is_success
    except httpx.HTTPError:
        return False


def started(hub: httpx.Client, user: str) -> dict[str, str]:
    """Starts the server of a user. Returns the environment that it has."""
    answer = hub.post(f"users/{user}/server")
    assert answer.status_code in (201, 202), answer.text
    until(lambda: is_ready(hub, user), bound_s=WAIT_S)
    routes = hub.get("proxy").raise_for_status().json()
    environment: dict[str, str] = httpx.get(routes[f"/user/{user}/"]["target"], timeout=60).json()
    return environment


def is_ready(hub: httpx.Client, user: str) -> bool:
    return bool(hub.get(f"users/{user}").raise_for_status().json()["servers"].get("", {}).get("ready"))


def test_a_server_of_jupyterhub_is_as_large_as_what_is_booked(up: Running, pool: Pool, hub: httpx.Client) -> None:
    ada, grace = pool.accounts
    for user in pool.accounts:
        assert hub.post(f"users/{user}").status_code == 201
    pool.book(ada, -1, 3, cores=3, memory=2048)
    pool.book("others", -1, 5, cores=13)
    environment = started(hub, ada)
    limits = {name: environment[name] for name in ("CPU_LIMIT", "MEM_LIMIT", "HOURBOOK_UNTIL")}
    assert limits == {"CPU_LIMIT": "3.0", "MEM_LIMIT": str(2048 << 20), "HOURBOOK_UNTIL": iso(HOUR + 3)}
    refused = hub.post(f"users/{grace}/server")
    assert (refused.status_code, refused.json()["message"]) == (
        403,
        f"{grace} has no booking in {pool.id} now. The earliest free hour begins at {iso(HOUR + 3)}."
        f" Book it at {up.url} and start again.",
    )
    assert not is_ready(hub, grace)
    # Whoever holds nothing of the pool is stopped: of this one ada holds something, of another one nothing.
    end_servers(up, hub, pool.id)
    assert is_ready(hub, ada)
    end_servers(up, hub, "another")
    until(lambda: not is_ready(hub, ada), bound_s=WAIT_S)


def test_blazar_may_tell_megabytes_of_hosts_through_the_one_address(pool: Pool) -> None:
    pool.book("os-1", 1, 3, servers=1, cores=2)
    host = {"vcpus": 2, "memory_mb": 0, "cpu_info": "x" * 3_000_000}
    reservation = {"resource_type": "physical:host", "allocations": [host]}
    lease = {"start_date": iso(HOUR + 1), "end_date": iso(HOUR + 3), "reservations": [reservation], "name": "large"}
    body = {"context": {"project_id": "os-1"}, "lease": lease}
    asked = [pool.http.post(f"/openstack/blazar/{pool.id}/check-create", json=body) for _ in range(2)]
    assert [answer.status_code for answer in asked] == [204, 403]
    assert asked[1].json()["because"] == "lease_not_booked"


def end_servers(up: Running, hub: httpx.Client, pool: str) -> None:
    environment = {"JUPYTERHUB_API_URL": str(hub.base_url), "JUPYTERHUB_API_TOKEN": TOKEN, "HOURBOOK_URL": up.url}
    command = [sys.executable, EXAMPLES / "jupyterhub/end_servers.py", "--pool", pool, "--once"]
    subprocess.run(command, env={**os.environ, **environment}, check=True, timeout=120)


def quotas(up: Running, pool: Pool, *namespaces: str) -> tuple[str, list[Any]]:
    """What quota.py prints, and the manifests in it, which Kubernetes would take."""
    command = [sys.executable, EXAMPLES / "kubernetes-quota/quota.py", "--pool", pool.id, "--url", up.url, *namespaces]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    return printed, valid(printed)


def valid(text: str) -> list[Any]:
    """The manifests in a text, compared with Kubernetes' own schemas."""
    found = list(yaml.safe_load_all(text))
    for one in found:
        kubernetes_validate.validate(one, "1.33", strict=True)
    return found


def test_the_quota_of_a_namespace_is_what_its_account_holds(up: Running, pool: Pool) -> None:
    ada, grace = pool.accounts
    pool.book(ada, -1, 3, cores=3, memory=2048, userdisc=40)
    pool.book(ada, -1, 9, cores=1)
    printed, (team, empty) = quotas(up, pool, f"team={ada}", f"zero={grace}")
    assert quotas(up, pool, f"zero={grace}", f"team={ada}")[0] == printed
    assert team["metadata"] == {
        "name": "hourbook",
        "namespace": "team",
        "annotations": {"hourbook/account": ada, "hourbook/pool": pool.id, "hourbook/until": iso(HOUR + 3)},
    }
    assert team["spec"]["hard"] == {
        "requests.cpu": "4",
        "limits.cpu": "4",
        "requests.memory": "2048Mi",
        "limits.memory": "2048Mi",
        "requests.storage": "40Gi",
    }
    nothing = {"requests.cpu": "0", "limits.cpu": "0", "requests.memory": "0Mi", "limits.memory": "0Mi"}
    assert empty["spec"]["hard"] == {**nothing, "requests.storage": "0Gi"}
    assert empty["metadata"]["annotations"]["hourbook/until"] == "never"
    assert len(valid((EXAMPLES / "kubernetes-quota/reconciler.yaml").read_text())) == 5


def test_a_pool_that_is_not_there_leaves_every_quota_as_it_is(up: Running, pool: Pool) -> None:
    ada, _ = pool.accounts
    for words in (("--pool", f"{pool.id}.typo", f"team={ada}"), ("--pool", pool.id, "team")):
        command = [sys.executable, EXAMPLES / "kubernetes-quota/quota.py", "--url", up.url, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert (done.returncode == 0, done.stdout) == (False, ""), words


def test_a_quota_is_written_again_only_when_it_changes(up: Running, pool: Pool, tmp_path: Path) -> None:
    """`--follow`, with another program in the place of kubectl."""
    ada, _ = pool.accounts
    given = tmp_path / "given"
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!/bin/sh\ncat >> {given}\n")
    kubectl.chmod(0o755)
    command = [
        sys.executable,
        EXAMPLES / "kubernetes-quota/quota.py",
        "--pool",
        pool.id,
        "--url",
        up.url,
        f"team={ada}",
    ]
    more = ["--follow", "--to-kubectl", "--every", "0.2"]
    process = subprocess.Popen([*command, *more], env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    try:
        until(lambda: given.exists() and given.read_text().count("ResourceQuota") == 1, bound_s=WAIT_S)
        pool.book(ada, -1, 3, cores=5, memory=1024)
        until(lambda: given.read_text().count("ResourceQuota") == 2, bound_s=WAIT_S)
        assert '"requests.cpu": "5"' in given.read_text()
    finally:
        stop_process(process, signal.SIGTERM)
