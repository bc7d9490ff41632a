"""`hourbook subscriber` beside a running `hourbook up`, and a data directory of a version that had no NATS users."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import nats
import psutil
import pytest
from nats.js.api import StreamConfig

from services.cli.up.embedded import free_port, stop_process, wait_for_port
from services.cli.up.embedded_nats import EmbeddedNats
from shared.nats_access.users import USERS
from tests.support.nats_users import connected
from tests.support.running import Running, hourbook, until

STREAM = "HOURBOOK"


class Up:
    """A running `hourbook up` with a project; `subscriber` runs `hourbook subscriber` beside it."""

    def __init__(self, directory: Path, output: Path) -> None:
        self.directory, self.nats = directory, directory / "nats"
        self.running = self._begin(output)

    def _begin(self, output: Path) -> Running:
        services = [word for name in ("command", "projector", "notify") for word in ("--services", name)]
        return Running(output, "--data-dir", str(self.directory), *services)

    def restart(self, output: Path) -> None:
        assert self.running.stop() == 0
        self.running = self._begin(output)
        self.running.ready()

    def subscriber(self, *words: str) -> subprocess.CompletedProcess[str]:
        return hourbook("subscriber", *words, "--data-dir", str(self.directory))

    def secrets(self) -> list[str]:
        logins = json.loads((self.nats / "passwords.json").read_text())
        return [login["password"] for login in logins.values()]


@pytest.fixture(scope="module")
def up(own_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(own_directory / "with-subscribers", tmp_path_factory.mktemp("output") / "output")
    try:
        up.running.ready()
        for project in ("gaia", "apollo", "other"):
            assert up.running.create(project).status_code == 201
        yield up
    finally:
        up.running.stop()
        assert not up.running.marked()


def credentials(told: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in told.splitlines())


async def read(url: str, name: str, count: int) -> list[str]:
    """The projects of the next messages: at least `count` of them."""
    client = await nats.connect(url)
    subscription = await client.jetstream().pull_subscribe_bind(name, stream=STREAM)
    found: list[str] = []
    while len(found) < count:
        messages = await subscription.fetch(100, timeout=20)
        for message in messages:
            await message.ack()
        found += [message.subject.split(".")[2] for message in messages]
    await client.close()
    return found


def test_a_subscriber_connects_without_a_restart_and_goes_on_after_one(up: Up, tmp_path: Path) -> None:
    out = tmp_path / "reports.env"
    first = up.subscriber("create", "reports", "--project", "gaia", "--project", "apollo", "--out", str(out))
    assert (first.returncode, first.stdout) == (0, ""), first.stderr
    assert out.stat().st_mode & 0o777 == 0o600
    told = credentials(out.read_text())
    assert told["SUBSCRIBER"] == "reports"
    assert asyncio.run(read(told["NATS_URL"], "reports", 2)) == ["gaia", "apollo"]
    everything = credentials(up.subscriber("create", "all-of-it", "--all").stdout)
    assert asyncio.run(read(everything["NATS_URL"], "all-of-it", 3)) == ["gaia", "apollo", "other"]
    shown = [line.split() for line in up.subscriber("list").stdout.splitlines()]
    assert shown[1:] == [["all-of-it", "all", "projects", "0"], ["reports", "gaia,", "apollo", "0"]]
    up.restart(tmp_path / "again")
    assert up.running.create("apollo-two").status_code == 201
    assert asyncio.run(read(everything["NATS_URL"], "all-of-it", 1)) == ["apollo-two"]
    assert up.subscriber("remove", "reports").returncode == 0
    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        asyncio.run(enters(told["NATS_URL"]))


def test_no_password_is_shown(up: Up) -> None:
    created = credentials(up.subscriber("create", "shown", "--project", "gaia").stdout)
    password = created["NATS_URL"].split(":")[2].partition("@")[0]
    status = hourbook("status", "--data-dir", str(up.directory), "--url", up.running.url)
    texts = [status.stdout, status.stderr, up.subscriber("list").stdout, up.running.output]
    texts += [log.read_text(errors="replace") for log in (up.directory / "logs").iterdir()]
    texts += [(up.nats / "nats.conf").read_text(), (up.nats / "subscribers.json").read_text()]
    for secret in (password, *up.secrets()):
        assert not [text for text in texts if secret in text]
    assert "nats://status:***@127.0.0.1" in status.stdout
    assert {file.stat().st_mode & 0o077 for file in up.nats.iterdir()} == {0}
    assert up.subscriber("remove", "shown").returncode == 0


def knows_nats(process: psutil.Process) -> bool:
    return "HOURBOOK_NATS_URL" in process.environ()


def test_each_service_knows_the_password_of_its_own_user_only(up: Up) -> None:
    passwords = json.loads((up.nats / "passwords.json").read_text())
    processes = json.loads((up.directory / "run.json").read_text())["processes"]
    services = {name: one["pid"] for name, one in processes.items() if name not in ("postgres", "nats")}
    assert set(services) == {"command", "projector", "notify"}
    for service, pid in services.items():
        process = psutil.Process(pid)
        # A notifier that has just been started becomes another program: for a moment its environment looks empty.
        until(partial(knows_nats, process))
        known = process.environ()["HOURBOOK_NATS_URL"]
        assert [user.name for user in USERS if passwords[user.name]["password"] in known] == [service]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "Reports", "--project", "gaia"), "should begin with a letter"),
        (("create", "x-ordered", "--project", "gaia"), "not end in -ordered"),
        (("create", "x", "--project", "gaia.spark"), "is no id of a project"),
        (("create", "x", "--project", ">"), "is no id of a project"),
        (("create", "x"), "--project PROJECT, once or several times, or --all"),
        (("create", "x", "--all", "--project", "gaia"), "--project PROJECT, once or several times, or --all"),
        (("remove", "nobody"), "there is no subscriber nobody"),
    ],
)
def test_a_wrong_word_is_said(up: Up, words: tuple[str, ...], said: str) -> None:
    answer = up.subscriber(*words)
    assert answer.returncode == 1
    assert said in " ".join(answer.stderr.split())


def test_a_file_that_is_there_is_not_overwritten(up: Up, tmp_path: Path) -> None:
    out = tmp_path / "there"
    out.write_text("mine")
    answer = up.subscriber("create", "there", "--all", "--out", str(out))
    assert "is there already" in answer.stderr
    assert out.read_text() == "mine"
    assert "there" not in up.subscriber("list").stdout


def test_without_a_running_up_it_says_what_to_do(tmp_path: Path) -> None:
    answer = hourbook("subscriber", "list", "--data-dir", str(tmp_path))
    assert answer.returncode == 1
    assert "start `hourbook up`" in answer.stderr


def test_for_a_server_of_ones_own_the_configuration_is_printed_and_works(tmp_path: Path) -> None:
    server = EmbeddedNats(tmp_path / "nats")
    server.start()
    try:
        told = hourbook("subscriber", "create", "reports", "--project", "gaia", HOURBOOK_NATS_URL=server.url)
        assert told.returncode == 0, told.stderr
        lines = told.stdout.splitlines()
        account = [line for line in lines if not line.startswith(("#", "NATS_URL=", "SUBSCRIBER="))]
        config = server.files.config.read_text().rstrip().removesuffix("}")
        server.files.config.write_text("\n".join([config, *account, "}"]) + "\n")
        assert server.process is not None
        url = credentials("\n".join(lines[-2:]))["NATS_URL"]
        for _ in range(2):  # as the text says
            server.process.send_signal(signal.SIGHUP)
            until_reloaded(server)
        asyncio.run(seen(url, "reports"))
        removed = hourbook("subscriber", "remove", "reports", HOURBOOK_NATS_URL=server.url)
        assert "remove the account subscriber-reports" in removed.stdout
    finally:
        server.stop()


_reloads: list[int] = [0]


def until_reloaded(server: EmbeddedNats) -> None:
    _reloads[0] += 1
    until(lambda: server.log.read_text().count("Reloaded server configuration") >= _reloads[0])


async def enters(url: str) -> None:
    async with connected(url):
        pass


async def seen(url: str, name: str) -> None:
    async with connected(url) as client:
        assert (await client.jetstream().consumer_info(STREAM, name)).config.filter_subjects == [
            "hourbook.events.gaia.>"
        ]


def test_the_streams_of_a_version_without_users_go_on(tmp_path: Path) -> None:
    directory, port = tmp_path / "nats", free_port()
    directory.mkdir(mode=0o700)
    config, log = directory / "nats.conf", directory / "log"
    config.write_text(f'host: "127.0.0.1"\nport: {port}\njetstream {{ store_dir: "{directory / "data"}" }}\n')
    with log.open("wb") as output:
        program = str(Path(sys.executable).parent / "nats-server")
        old = subprocess.Popen([program, "-c", str(config)], stdout=output, stderr=output)
    try:
        wait_for_port(old, port, "NATS", log)
        asyncio.run(fill(f"nats://127.0.0.1:{port}"))
    finally:
        stop_process(old, signal.SIGTERM)
    server = EmbeddedNats(directory)
    server.start()
    try:
        assert asyncio.run(messages(server.url)) == 5
    finally:
        server.stop()


async def fill(url: str) -> None:
    client = await nats.connect(url)
    await client.jetstream().add_stream(StreamConfig(name=STREAM, subjects=["hourbook.events.>"]))
    for number in range(5):
        await client.jetstream().publish("hourbook.events.gaia.Tested", b"%d" % number)
    await client.close()


async def messages(url: str) -> int:
    client = await nats.connect(url)
    try:
        return (await client.jetstream().stream_info(STREAM)).state.messages
    finally:
        await client.close()
