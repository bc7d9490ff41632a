"""`hourbook up` gives each service a role of PostgreSQL of its own, also on servers that it did not start."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import psutil
import pytest

from services.cli.up.embedded import EmbeddedPostgres
from services.cli.up.supervisor import SERVICES
from shared.database_roles import login_url, quoted
from shared.event_store import EventStore, Pending
from shared.events import encode_event
from shared.migrate import run_dbmate
from tests.support.backends import RUN, Nats, Postgres, connected
from tests.support.project import Project
from tests.support.running import WAIT_S, Running, hourbook

DATABASE = "HOURBOOK_DATABASE_URL"


@pytest.fixture(scope="module")
def directory(own_directory: Path) -> Path:
    return own_directory / "roles"


@pytest.fixture(scope="module")
def running(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    output = tmp_path_factory.mktemp("roles") / "output"
    services = [word for name in SERVICES if name != "query" for word in ("--services", name)]
    with Running(output, "--data-dir", str(directory), *services, PGPASSWORD="nobodys") as up:
        yield up


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts a `hourbook up`. All of them end with the test."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments: str, **environment: str) -> Running:
            up = Running(tmp_path / f"output-{uuid4().hex}", *arguments, **environment)
            stack.callback(up.stop)
            return up

        yield begin


def environments(up: Running) -> dict[str, dict[str, str]]:
    """The environment of each service's process."""
    return {
        line.rpartition("services.")[2]: psutil.Process(pid).environ()
        for pid, line in up.marked().items()
        if "-m services." in line and "services.cli" not in line
    }


def test_no_service_has_the_superusers_password(running: Running, directory: Path) -> None:
    password = (directory / "postgres" / "password").read_text()
    found = environments(running)
    assert set(found) == set(SERVICES) - {"query"}
    for service, environment in found.items():
        assert password not in " ".join(environment.values())
        assert urlsplit(environment[DATABASE]).username == f"hourbook_{service}_login"
        assert "PGPASSWORD" not in environment
    assert not any(password in line for line in running.marked().values())
    assert password not in (directory / "run.json").read_text()


def test_no_password_of_a_role_is_in_an_environment_or_a_log(running: Running, directory: Path) -> None:
    secrets = [path.read_text().strip().rpartition(":")[2] for path in (directory / "roles").rglob("pgpass")]
    assert len({*secrets}) == len(SERVICES)
    told = [path.read_text() for path in (directory / "logs").iterdir()] + [running.output]
    told += [" ".join(environment.values()) for environment in environments(running).values()]
    assert not [secret for secret in secrets for text in told if secret in text]


async def test_a_service_reaches_no_other_database_of_the_server(running: Running) -> None:
    for environment in environments(running).values():
        url = urlsplit(environment[DATABASE])
        async with connected(url.geturl()) as connection:
            assert not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        for other in ("postgres", "template1"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(url._replace(path=f"/{other}").geturl())


def test_what_reads_uses_the_role_that_reads(running: Running, directory: Path, tmp_path: Path) -> None:
    assert running.create("gaia").status_code in (201, 409)
    urls = json.loads((directory / "run.json").read_text())["database_urls"]
    assert {service: urlsplit(url).username for service, url in urls.items()} == {
        service: f"hourbook_{service}_login" for service in SERVICES
    }
    verified = hourbook("audit", "verify", "--data-dir", str(directory))
    assert (verified.returncode, "verified" in verified.stdout) == (0, True), verified.stdout + verified.stderr
    exported = hourbook("audit", "export", str(tmp_path / "export"), "--data-dir", str(directory))
    assert exported.returncode == 0, exported.stderr
    rebuilt = hourbook("rebuild", HOURBOOK_DATABASE_URL=urls["projector"])
    assert rebuilt.returncode == 0, rebuilt.stderr


async def test_a_password_that_is_lost_is_made_anew(tmp_path: Path, begun: Callable[..., Running]) -> None:
    arguments = ("--data-dir", str(tmp_path / "data"), "--services", "command")
    first = begun(*arguments).ready()
    assert first.create("kept").status_code == 201
    assert first.stop() == 0
    (tmp_path / "data" / "roles" / "command" / "pgpass").unlink()
    second = begun(*arguments).ready()
    assert second.create("kept").status_code == 409
    assert second.stop() == 0


OWNERS = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"


async def test_a_directory_of_an_earlier_version_is_brought_over(tmp_path: Path, begun: Callable[..., Running]) -> None:
    """There the superuser owned everything, and every service connected as it."""
    data = tmp_path / "data"
    data.mkdir(mode=0o711)
    server = EmbeddedPostgres(data / "postgres", ours=(data,))
    server.start()
    run_dbmate(server.url, "up")
    project = Project()
    async with connected(server.url) as connection:
        event = Pending(
            "gaia", 1, project.history[0].command, 0, b"", "ProjectCreated", encode_event(project.history[0])
        )
        assert (await EventStore(connection).append({"gaia": 0}, [event])).outcome == "stored"
        assert [row[0] for row in await connection.fetch(OWNERS)] == ["hourbook"]
    server.stop()
    up = begun("--data-dir", str(data), "--services", "command", "--services", "projector").ready()
    assert up.create("gaia").status_code == 409
    assert up.create("new").json()["position"] == 2
    port = json.loads((data / "run.json").read_text())["processes"]["postgres"]["port"]
    url = urlsplit(server.url)._replace(
        netloc=f"hourbook:{(data / 'postgres' / 'password').read_text()}@127.0.0.1:{port}"
    )
    async with connected(url.geturl()) as connection:
        assert [row[0] for row in await connection.fetch(OWNERS)] == ["hourbook_owner"]
    assert up.stop() == 0


async def roles_of(postgres: Postgres, database: str) -> list[Any]:
    async with connected(postgres.url_of("postgres")) as connection:
        return await connection.fetch("SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)", f"{database}_")


async def test_given_servers_get_roles_too_and_an_ephemeral_run_leaves_none(
    postgres: Postgres, nats_server: Nats, tmp_path: Path, begun: Callable[..., Running]
) -> None:
    database = f"own_{RUN}"
    servers = {DATABASE: postgres.url_of(database), "HOURBOOK_NATS_URL": nats_server.url}
    kept = begun("--data-dir", str(tmp_path / "data"), "--services", "command", **servers).ready()
    passing = begun("--ephemeral", "--services", "command", **servers).ready()
    assert len(await roles_of(postgres, database)) == 2 * len(SERVICES)
    assert kept.create("gaia").status_code == 201  # the second run has not changed the passwords of the first
    assert passing.create("gaia").status_code == 409
    user = urlsplit(environments(kept)["command"][DATABASE]).username
    assert user is not None
    assert user.startswith(f"{database}_command_")
    assert passing.stop() == 0
    assert len(await roles_of(postgres, database)) == len(SERVICES)
    assert kept.stop() == 0


async def test_it_says_that_all_services_share_a_role_that_makes_no_others(
    postgres: Postgres, nats_server: Nats, begun: Callable[..., Running]
) -> None:
    name = f"plain_{RUN}"
    async with connected(postgres.url_of("postgres")) as connection:
        await connection.execute(f"CREATE ROLE {quoted(name)} LOGIN PASSWORD 'plain'")
        await connection.execute(f"CREATE DATABASE {quoted(name)} OWNER {quoted(name)}")
    up = begun(
        "--ephemeral",
        "--services",
        "command",
        HOURBOOK_DATABASE_URL=login_url(postgres.url_of(name), name, password="plain"),
        HOURBOOK_NATS_URL=nats_server.url,
    ).ready()
    assert f"all services use the one role of {DATABASE}" in up.output
    assert f'ALTER ROLE "{name}" CREATEROLE' in up.output
    assert up.create("gaia").status_code == 201
    assert up.stop(signal.SIGTERM) == 0


async def test_a_server_that_does_not_let_the_roles_in_is_named(
    nats_server: Nats, tmp_path: Path, begun: Callable[..., Running]
) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", settings={"fsync": "off"})
    server.start()
    (server.data / "pg_hba.conf").write_text("host all hourbook 127.0.0.1/32 scram-sha-256\n")
    async with connected(server.url_of("postgres")) as connection:
        assert await connection.fetchval("SELECT pg_reload_conf()")
    up = begun("--ephemeral", **{DATABASE: server.url, "HOURBOOK_NATS_URL": nats_server.url})
    assert up.process.wait(WAIT_S) == 1, up.output
    assert "cannot log in" in up.output
    assert "pg_hba.conf" in up.output
    assert not await roles_of(server, "hourbook_command")
    server.stop(signal.SIGQUIT)
