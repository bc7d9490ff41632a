"""`hourbook up` as a person meets it: real processes, started, killed and stopped."""

import gzip
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
import pytest

from services.cli.failure import Failure
from services.cli.up.embedded import EmbeddedPostgres, free_port
from services.cli.up.embedded_nats import EmbeddedNats
from services.cli.up.servers import Servers, check
from tests.support.raw import MALFORMED
from tests.support.running import WAIT_S, Running, hourbook, until


@pytest.fixture(scope="module")
def directory(own_directory: Path) -> Path:
    return own_directory / "up"


@pytest.fixture(scope="module")
def begun(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, httpx.Response]]:
    """A `hourbook up`, and its answer to the first command."""
    output = tmp_path_factory.mktemp("output") / "output"
    with Running(output, "--data-dir", str(directory), "--services", "command", "--services", "projector") as up:
        yield up, up.create("gaia")
    assert not up.marked()


@pytest.fixture(scope="module")
def running(begun: tuple[Running, httpx.Response]) -> Running:
    return begun[0]


def test_one_address_takes_commands(begun: tuple[Running, httpx.Response]) -> None:
    running, answer = begun
    assert (answer.status_code, answer.json()["position"]) == (201, 1)
    assert httpx.get(f"{running.url}/schema/command/openapi.json").json()["openapi"]
    assert httpx.get(f"{running.url}/projects").status_code == 503  # no query service was asked for


def test_each_service_tells_what_it_does_through_the_one_address(running: Running) -> None:
    command, projector = (httpx.get(f"{running.url}/metrics/{name}").text for name in ("command", "projector"))
    assert "hourbook_append_seconds_count " in command
    assert "hourbook_fold_seconds_count " in projector
    assert httpx.get(f"{running.url}/health/projector").json()["position"] >= 0
    assert httpx.get(f"{running.url}/metrics").status_code == 503  # the query service's


def test_a_service_that_is_killed_is_started_again(running: Running) -> None:
    first = running.pid_of("services.command")
    os.kill(first, signal.SIGKILL)
    until(lambda: "command ended: killed by SIGKILL" in running.output, lambda: running.output)
    until(lambda: running.create("after-the-kill").status_code in (201, 409), lambda: running.output)
    assert running.pid_of("services.command") != first


def test_a_command_on_a_connection_whose_service_is_killed_is_carried_out_once(running: Running) -> None:
    """The connection breaks, or the gateway says that the service starts. A repeat with the key is the same command."""
    said: set[str] = set()
    with httpx.Client(base_url=running.url, headers={"Idempotency-Key": "once"}) as client:
        assert client.post("/bookings/create", content=b"{}").status_code == 400  # the service has the connection
        os.kill(running.pid_of("services.command"), signal.SIGKILL)
        deadline, positions = time.monotonic() + WAIT_S, set[int]()
        while not positions and time.monotonic() < deadline:
            try:
                answer = client.post("/projects/create", json={"id": "once", "name": "Once"})
            except httpx.TransportError:
                said.add("broken")
                continue
            if answer.is_success:
                positions.add(answer.json()["position"])
            else:
                said.add(answer.json()["code"])
                time.sleep(0.05)
        positions.add(client.post("/projects/create", json={"id": "once", "name": "Once"}).json()["position"])
    assert "service_unavailable" in said
    assert said <= {"broken", "service_unavailable", "outcome_unknown", "store_unavailable"}
    assert len(positions) == 1


def test_no_other_process_can_hand_a_connection_to_a_service(running: Running) -> None:
    """The line has no name to which anybody could connect."""
    for process in map(psutil.Process, (running.process.pid, running.pid_of("services.command"))):
        assert [end.laddr for end in process.net_connections("unix") if end.laddr] == []


def test_the_embedded_servers_are_started_again_too(running: Running) -> None:
    for name, words in (("nats", "nats-server"), ("postgres", "-D")):
        os.kill(running.pid_of(words), signal.SIGKILL)
        until(lambda name=name: f"{name} runs again" in running.output, lambda: running.output)
    until(lambda: running.create("after-the-crash").status_code in (201, 409), lambda: running.output)


def test_status_says_what_is_not_there(running: Running, directory: Path) -> None:
    answer = hourbook("status", "--data-dir", str(directory))
    assert answer.returncode == 1  # there is no query service
    assert re.search(r"event store +[0-9]", answer.stdout), answer.stdout + answer.stderr
    assert re.search(r"read models +[0-9]", answer.stdout)
    assert "answers 503" in answer.stdout
    password = (directory / "postgres" / "password").read_text()
    assert password not in answer.stdout
    assert (directory / "run.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((directory / "run.json").read_text())["pid"] == running.process.pid


def test_nobody_else_may_read_what_it_keeps(running: Running, directory: Path) -> None:
    assert running.create("closed").status_code in (201, 409)
    theirs = {directory, directory / "postgres"} if os.geteuid() == 0 else set()  # root's PostgreSQL goes through
    for path in (directory, *directory.rglob("*")):
        mode = path.stat().st_mode & 0o077
        assert mode == (0o010 if path in theirs else 0), (path, oct(mode))


def test_what_is_no_request_is_not_told_to_the_terminal(running: Running, directory: Path) -> None:
    before = running.output
    for data in MALFORMED.values():
        with socket.create_connection(("127.0.0.1", running.port)) as client:
            client.sendall(data)
            client.settimeout(WAIT_S)
            assert client.recv(16).split()[1] == b"400"
    log = directory / "logs" / "gateway.log"
    assert "not an HTTP request" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert running.output == before


def test_an_encoded_booking_is_refused_through_the_one_address_too(running: Running) -> None:
    headers = {"Content-Encoding": "gzip"}
    with httpx.Client(base_url=running.url) as client:
        for body in (b"{}", gzip.compress(b'{"project": "gaia"}' * 20)):
            answer = client.post("/bookings/create", content=body, headers=headers)
            assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
            assert client.post("/bookings/create", content=b"{}").status_code == 400


def test_a_directory_has_one_up_at_a_time(running: Running, directory: Path) -> None:
    second = hourbook("up", "--data-dir", str(directory), "--port", str(free_port()))
    assert second.returncode == 1
    assert f"in use by another `hourbook up` (pid {running.process.pid})" in second.stderr


def test_a_port_that_is_taken_is_named(running: Running, tmp_path: Path) -> None:
    second = hourbook("up", "--data-dir", str(tmp_path / "other"), "--port", str(running.port))
    assert second.returncode == 1
    assert f"port {running.port} " in second.stderr
    assert "--port" in second.stderr


def test_what_was_acknowledged_survives_and_no_process_does(tmp_path: Path) -> None:
    arguments = ("--data-dir", str(tmp_path / "data"), "--services", "command")
    first = Running(tmp_path / "first", *arguments).ready()
    assert first.create("kept").status_code == 201
    first.stop(signal.SIGKILL)  # its children go with it, if only when the next one meets them
    second = Running(tmp_path / "second", *arguments).ready()
    assert not first.marked()
    assert second.create("kept").status_code == 409
    assert second.stop(signal.SIGTERM) == 0
    assert not second.marked()
    assert not (tmp_path / "data" / "run.json").exists()


def test_a_service_that_cannot_run_is_said_and_keeps_nobody_from_ending(tmp_path: Path) -> None:
    up = Running(tmp_path / "output", "--ephemeral", "--services", "command", HOURBOOK_BATCH_MAX="many")
    until(lambda: "command keeps ending" in up.output, lambda: up.output)
    assert "HOURBOOK_BATCH_MAX" in up.output
    assert up.create("gaia").status_code == 503
    directory = re.search(r"logs: (\S+)", up.output)
    assert directory is not None
    assert Path(directory[1]).is_dir()
    assert up.stop(signal.SIGINT) == 0
    assert not up.marked()
    assert not Path(directory[1]).exists()


@pytest.mark.skipif(find_spec("services.query.__main__") is None, reason="there is no query service yet")
def test_the_demo_draws_the_month_of_the_notes_and_a_second_one_changes_nothing(tmp_path: Path) -> None:
    directory = str(tmp_path / "data")
    up = Running(tmp_path / "output", "--data-dir", directory).ready()
    for said in ("new", "was there"):
        demo = hourbook("demo", "--url", up.url)
        assert demo.returncode == 0, demo.stdout + demo.stderr
        assert demo.stdout.count(f": {said}\n") == 8
    assert re.search(r"2020-01-06 +4 +█{4}░{6}\n", demo.stdout)
    status = hourbook("status", "--data-dir", directory)
    assert status.returncode == 0, status.stdout + status.stderr
    assert re.search(r"read models +8 +0 ", status.stdout)
    assert up.stop() == 0
    assert not up.marked()


def test_it_ends_while_it_starts(tmp_path: Path) -> None:
    up = Running(tmp_path / "output", "--data-dir", str(tmp_path / "data"))
    until(lambda: (tmp_path / "data" / "postgres").exists(), lambda: up.output)
    assert up.stop(signal.SIGINT) == 0, up.output
    assert not up.marked()


def test_servers_of_ones_own_are_used(database_url: str, nats_server: EmbeddedNats, tmp_path: Path) -> None:
    up = Running(
        tmp_path / "output",
        "--data-dir",
        str(tmp_path / "data"),
        "--services",
        "command",
        HOURBOOK_DATABASE_URL=database_url,
        HOURBOOK_NATS_URL=nats_server.url_of("hourbook"),
    ).ready()
    assert up.create("gaia").status_code == 201
    assert not any("postgres -D" in line or "nats-server" in line for line in up.marked().values())
    assert up.stop() == 0
    assert not up.marked()


async def test_a_wrong_address_is_named_without_its_password(postgres: EmbeddedPostgres) -> None:
    closed = f"nats://me:sec%20ret@127.0.0.1:{free_port()}"
    wrong = re.sub(r":[^:@/]+@", f":{quote('sec ret')}@", postgres.url)
    if wrong == postgres.url:  # a given server that asks for no password
        wrong = f"postgresql://hourbook:sec%20ret@127.0.0.1:{free_port()}/x"
    for servers, said in (
        (Servers(wrong, closed), "HOURBOOK_DATABASE_URL: cannot use postgresql://hourbook:***@"),
        (Servers("postgresql://me:sec%20ret@[::1/x", closed), "HOURBOOK_DATABASE_URL: cannot use postgresql://…"),
        (Servers(postgres.url_of("not_there_yet"), closed), "HOURBOOK_NATS_URL: cannot use nats://me:***@127.0.0.1"),
    ):
        with pytest.raises(Failure) as failure:
            await check(servers)
        assert said in str(failure.value)
        assert "sec ret" not in str(failure.value)
        assert "sec%20ret" not in str(failure.value)


def test_a_directory_that_is_kept_and_one_that_is_not_exclude_each_other(tmp_path: Path) -> None:
    answer = hourbook("up", "--ephemeral", "--data-dir", str(tmp_path))
    assert answer.returncode == 1
    assert "give one of the two" in answer.stderr
    assert not list(tmp_path.iterdir())


def test_a_service_names_the_setting_that_is_missing_wrong_or_taken(running: Running) -> None:
    somewhere = {"HOURBOOK_DATABASE_URL": "postgresql://127.0.0.1/nowhere"}
    for service in ("command", "projector", "query"):
        assert "there is no HOURBOOK_DATABASE_URL" in hourbook(service).stderr
        port = {f"HOURBOOK_{service.upper()}_PORT": str(running.port)}
        assert f"port {running.port} of 127.0.0.1 cannot be used" in hourbook(service, **somewhere, **port).stderr
        port = dict.fromkeys(port, "many")
        assert f"HOURBOOK_{service.upper()}_PORT" in hourbook(service, **somewhere, **port).stderr


def test_one_address_without_the_other_is_refused(tmp_path: Path) -> None:
    answer = hourbook("up", "--data-dir", str(tmp_path), HOURBOOK_DATABASE_URL="postgresql://127.0.0.1/x")
    assert answer.returncode == 1
    assert "HOURBOOK_NATS_URL is not" in answer.stderr
