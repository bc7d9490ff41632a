"""Tokens, roles and people by the command line, against a `hourbook up` where people sign in."""

import asyncio
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest

from services.cli.up.directory import DataDirectory
from shared.identity.secrets import is_secret
from tests.support.cloud import FakeCloud
from tests.support.cloud import running as answering
from tests.support.openstack import lease, quota
from tests.support.running import Running, hourbook, until
from tests.support.signed_in import auth_file, signed_in

WAIT_S = 30


class Ledger(NamedTuple):
    """A `hourbook up` with the auth file of the tests, its data directory, and the operator's token for everything."""

    up: Running
    data: Path
    token: str

    @property
    def database_url(self) -> str:
        run = DataDirectory(self.data).read_run()
        assert run is not None
        return run.database_urls["command"]

    def get(self, path: str, token: str | None = None, **query: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.get(self.up.url + path, params=query, headers=headers, timeout=WAIT_S)

    def person(self, name: str) -> dict[str, str]:
        """The headers of somebody who has signed in on the page."""
        return asyncio.run(signed_in(self.database_url, name, name=f"Name of {name}"))

    def token_for(self, role: str, *options: str) -> dict[str, str]:
        """What `token create --operator --output json` says of a new token."""
        given = ("--role", role, "--operator", "--data-dir", str(self.data), "--output", "json")
        return dict(json.loads(self.runs("token", "create", "x", *given, *options)))

    def runs(self, *command: str, exits: int = 0, **environment: str) -> str:
        """The output of a command with the operator's token; of one that fails, its error."""
        given = {"HOURBOOK_TOKEN": self.token, **environment}
        url = [] if "--operator" in command or command[0] == "people" else ["--url", self.up.url]
        done = hourbook(*command, *url, **given)
        assert done.returncode == exits, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if exits else done.stdout


@pytest.fixture(scope="module")
def cloud() -> Iterator[FakeCloud]:
    """A cloud whose Keystone the ledger trusts: `ours`."""
    with answering(FakeCloud()) as cloud:
        cloud.leases = [lease()]
        yield cloud


@pytest.fixture(scope="module")
def ledger(own_directory: Path, cloud: FakeCloud) -> Iterator[Ledger]:
    folder = own_directory / uuid4().hex
    folder.mkdir(mode=0o711)
    data = folder / "data"
    file = auth_file(folder, more=f'[keystone.ours]\nurl = "{cloud.url}/identity/v3"\n')
    with Running(folder / "output", "--data-dir", str(data), HOURBOOK_AUTH_FILE=file) as up:
        first = hourbook("token", "create", "first", "--role", "admin", "--operator", "--data-dir", str(data))
        assert first.returncode == 0, first.stderr
        yield Ledger(up, data, first.stdout.strip())


def project(ledger: Ledger) -> str:
    """A new project of the operator's."""
    name = f"p-{uuid4().hex[:12]}"
    headers = {"Authorization": f"Bearer {ledger.token}"}
    answer = httpx.post(
        f"{ledger.up.url}/projects/create", json={"id": name, "name": name}, headers=headers, timeout=WAIT_S
    )
    assert answer.status_code == 201, answer.text
    return name


def test_the_operator_makes_the_first_token_of_a_ledger_without_a_credential(ledger: Ledger) -> None:
    assert is_secret(ledger.token, "hbk")
    assert ledger.get("/tokens").json()["tokens"][0]["maker"] is None
    assert httpx.get(f"{ledger.up.url}/tokens", timeout=WAIT_S).status_code == 401
    listed = ledger.runs("token", "list", "--operator", "--data-dir", str(ledger.data))
    assert "admin on the whole ledger" in listed
    assert "the operator" in listed
    assert "hbk_" not in listed


def test_a_token_is_written_into_a_new_file_that_only_its_owner_may_read(ledger: Ledger, tmp_path: Path) -> None:
    gaia, file = project(ledger), tmp_path / "token"
    options = ("--operator", "--data-dir", str(ledger.data))
    made = ledger.token_for("reader", "--pool", gaia, "--days", "3", "--out", str(file))
    assert "token" not in made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    from_file = {"HOURBOOK_TOKEN": "", "HOURBOOK_TOKEN_FILE": str(file)}
    listed = json.loads(ledger.runs("token", "list", "--output", "json", **from_file))
    assert [(one["id"], one["limits"]) for one in listed] == [(made["id"], [{"role": "reader", "pool": gaia}])]
    again = ledger.runs("token", "create", "x", "--role", "viewer", "--out", str(file), *options, exits=1)
    assert "File exists" in again
    wrong = ledger.runs("token", "create", " ", "--role", "viewer", "--out", str(tmp_path / "no"), *options, exits=1)
    assert "name: " in wrong
    assert not (tmp_path / "no").exists()
    file.chmod(0o640)
    assert "chmod 600" in ledger.runs("token", "list", exits=1, **from_file)


def test_a_revoked_token_is_refused_and_the_command_line_says_what_to_do(ledger: Ledger) -> None:
    made = ledger.token_for("viewer")
    assert ledger.get("/projects", made["token"]).status_code == 200
    assert "is revoked" in ledger.runs("token", "revoke", made["id"])
    until(lambda: ledger.get("/projects", made["token"]).status_code == 401)
    refused = ledger.runs("token", "list", exits=4, HOURBOOK_TOKEN=made["token"])
    assert "the token was revoked" in refused
    assert "HOURBOOK_TOKEN" in refused
    assert made["token"] not in refused
    nobody = ledger.runs("token", "list", exits=4, HOURBOOK_TOKEN="")
    assert "hourbook token create" in nobody
    assert "there is no token" in ledger.runs("token", "revoke", str(uuid4()), exits=1)
    both = ledger.runs("token", "list", exits=1, HOURBOOK_TOKEN_FILE="/dev/null")
    assert "set one of them" in both
    words = ledger.runs("token", "list", exits=1, HOURBOOK_TOKEN="not a token")
    assert "one word" in words
    assert "not a token" not in words


def test_a_program_makes_no_token_and_is_told_of_the_operator(ledger: Ledger) -> None:
    assert "--operator" in ledger.runs("token", "create", "more", "--role", "viewer", exits=1)


def test_roles_are_given_listed_and_taken(ledger: Ledger) -> None:
    gaia = project(ledger)
    assert (
        ledger.runs("roles", "grant", gaia, "manager", "egi:ada").strip() == f"egi:ada has the role manager on {gaia}"
    )
    assert ledger.runs("roles", "grant", gaia, "manager", "egi:ada").strip().endswith(", as before")
    assert "has the role reader" in ledger.runs(
        "roles", "grant", gaia, "reader", "group:egi:team", "--reason", "a visit"
    )
    bound = {(gaia, "manager", "egi:ada"), (gaia, "reader", "group:egi:team")}
    until(lambda: bound <= roles_in(ledger, gaia))
    assert "group:egi:team" in ledger.runs("roles", "list", "--pool", gaia)
    assert "member: " in ledger.runs("roles", "grant", gaia, "manager", "ada", exits=1)
    assert "no project 'nope'" in ledger.runs("roles", "grant", "nope", "manager", "egi:ada", exits=1)
    assert "does not have" in ledger.runs("roles", "revoke", gaia, "manager", "egi:ada")


def roles_in(ledger: Ledger, pool: str) -> set[tuple[str, str, str]]:
    listed = json.loads(ledger.runs("roles", "list", "--project", pool, "--output", "json"))
    return {(one["pool"], one["role"], one["member"]) for one in listed}


def test_people_are_listed_and_forgotten(ledger: Ledger) -> None:
    eve = ledger.person("egi:eve")
    assert httpx.get(f"{ledger.up.url}/tokens", headers=eve, timeout=WAIT_S).status_code == 200
    options = ("--data-dir", str(ledger.data))
    assert "Name of egi:eve" in ledger.runs("people", "list", *options)
    people = json.loads(ledger.runs("people", "list", "--output", "json", *options))
    (one,) = [row for row in people if row["id"] == "egi:eve"]
    assert (one["name"], one["sessions"]) == ("Name of egi:eve", 1)
    assert "egi:eve is forgotten; 1 sessions" in ledger.runs("people", "forget", "egi:eve", *options)
    until(lambda: httpx.get(f"{ledger.up.url}/tokens", headers=eve, timeout=WAIT_S).status_code == 401)
    assert "no person 'egi:eve'" in ledger.runs("people", "forget", "egi:eve", *options, exits=1)
    assert "egi:eve" not in ledger.runs("people", "list", *options)


def test_documents_are_imported_into_a_ledger_where_people_sign_in(ledger: Ledger, tmp_path: Path) -> None:
    gaia = project(ledger)
    file = tmp_path / "quota.json"
    file.write_text(json.dumps(quota()))
    command = ("import", "nova", str(file), "--project", gaia)
    assert "hourbook token create" in ledger.runs(*command, exits=4, HOURBOOK_TOKEN="")
    assert "hourbook token create" in ledger.runs(*command, "--dry-run", exits=4, HOURBOOK_TOKEN="")
    token = ledger.token_for("manager", "--pool", gaia)["token"]
    assert "1 created" in ledger.runs(*command, HOURBOOK_TOKEN=token)
    assert "1 already there" in ledger.runs(*command, HOURBOOK_TOKEN=token)
    (event,) = ledger.get("/events", project=gaia, type="GrantCreated").json()["events"]
    assert (event["event"]["auth"], event["event"]["actor"][:6]) == ("token", "token:")


def test_a_cloud_is_taken_over_into_a_ledger_where_people_sign_in(
    ledger: Ledger, cloud: FakeCloud, tmp_path: Path
) -> None:
    gaia, clouds = project(ledger), str(cloud.clouds_yaml(tmp_path / "clouds.yaml"))
    command = ("sync", "openstack", "--cloud", "sky", "--project", gaia, "--disc", "none", "--services", "nova")
    token = ledger.token_for("manager", "--pool", gaia)["token"]
    said = ledger.runs(*command, HOURBOOK_TOKEN=token, OS_CLIENT_CONFIG_FILE=clouds)
    assert "3 created" in said
    by_keystone = ("--auth", "keystone")
    ledger.runs("roles", "grant", gaia, "manager", "ours:u1")
    said = ledger.runs(*command, *by_keystone, HOURBOOK_TOKEN="", OS_CLIENT_CONFIG_FILE=clouds)
    assert "3 already there" in said
    cloud.quota = quota(cores=100)
    said = ledger.runs(*command, *by_keystone, HOURBOOK_TOKEN="", OS_CLIENT_CONFIG_FILE=clouds)
    assert "1 changed" in said
    assert ledger.get("/events", project=gaia, actor="ours:u1").json()["events"]


def test_the_example_is_loaded_with_a_token(ledger: Ledger) -> None:
    assert "20" in ledger.runs("demo")


def test_no_secret_is_in_a_log_file_in_the_status_or_in_a_metric(ledger: Ledger) -> None:
    """After all that the other tests did. The one that stands alone does a little itself."""
    zoe = ledger.person("egi:zoe")
    made = ledger.token_for("viewer")
    secrets = [ledger.token, made["token"], zoe["Cookie"].partition("=")[2]]
    for headers in (zoe, {"Authorization": f"Bearer {made['token']}"}):
        httpx.get(f"{ledger.up.url}/projects", headers=headers, timeout=WAIT_S)
        httpx.post(f"{ledger.up.url}/projects/create", json={}, headers=headers, timeout=WAIT_S)
    shown = [ledger.get(f"/metrics{name}").text for name in ("", "/command", "/projector")]
    shown.append(hourbook("status", "--data-dir", str(ledger.data)).stdout)
    shown += [file.read_text(errors="replace") for file in (ledger.data / "logs").iterdir()]
    shown.append(ledger.up.output)
    assert "hourbook_http_requests" in shown[1]
    for secret in secrets:
        assert not [text for text in shown if secret in text]
