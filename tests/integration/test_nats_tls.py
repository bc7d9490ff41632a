"""TLS to NATS: the right certificate connects; a wrong name, an unknown authority and a server without TLS do not."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from services.cli.failure import Failure
from services.cli.up.embedded import free_port, stop_process, wait_for_port
from services.cli.up.embedded_nats import hashed, quoted
from services.cli.up.servers import check_nats, redacted, without_password
from shared.jetstream import join, leave
from shared.nats_access.config import accounts
from shared.nats_access.users import TOGETHER
from shared.nats_server import BadNatsSetting, NatsClient, NatsServer
from shared.tasks import end_tasks
from shared.trouble import Trouble
from tests.support.running import hourbook

BOUND_S = 20
PASSWORD = "p4ss:w/rd@"
ENCODED = "p4ss%3Aw%2Frd%40"


class Authority:
    """A certificate authority, and the files of its certificates in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._authority = directory, trustme.CA()
        directory.mkdir()
        self.file = str(directory / "ca.pem")
        self._authority.cert_pem.write_to_path(self.file)

    def issued(self, name: str) -> tuple[str, str]:
        """The files of a certificate for a host, and of its key."""
        made, base = self._authority.issue_cert(name), self._directory / name
        made.private_key_pem.write_to_path(f"{base}.key")
        for number, blob in enumerate(made.cert_chain_pems):
            blob.write_to_path(f"{base}.pem", append=number > 0)
        return f"{base}.pem", f"{base}.key"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """Starts a server with these lines of configuration, and returns its port."""
    processes = []

    def start(lines: str) -> int:
        port, config, log = free_port(), tmp_path / "nats.conf", tmp_path / "nats.log"
        config.write_text(
            f'host: "127.0.0.1"\nport: {port}\njetstream {{ store_dir: "{tmp_path / "data"}" }}\n{lines}\n'
            + accounts([TOGETHER], lambda _: quoted(hashed(PASSWORD)))
        )
        with log.open("wb") as output:
            program = str(Path(sys.executable).parent / "nats-server")
            processes.append(subprocess.Popen([program, "-c", str(config)], stdout=output, stderr=output))
        wait_for_port(processes[-1], port, "NATS", log)
        return port

    yield start
    for process in processes:
        stop_process(process, how=2)


def tls(certificate: tuple[str, str], more: str = "") -> str:
    return f'tls {{ cert_file: "{certificate[0]}", key_file: "{certificate[1]}"{more} }}'


async def connects(server: NatsServer, caplog: pytest.LogCaptureFixture) -> str | None:
    """None when a service connects; otherwise what the service says about it."""
    client, trouble = NatsClient(), Trouble(logging.getLogger("test"), "relay: NATS")
    joining = asyncio.create_task(join(client, server, trouble))
    try:
        async with asyncio.timeout(BOUND_S):
            while not client.is_connected and trouble.problem is None:
                await asyncio.sleep(0.01)
        if client.is_connected:
            await client.jetstream().account_info()
        return None if client.is_connected else trouble.problem
    finally:
        await end_tasks(joining)
        await leave(client)
        assert PASSWORD not in caplog.text
        assert ENCODED not in caplog.text


async def test_the_right_certificate_connects(
    authority: Authority, serve: Callable[[str], int], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"tls://hourbook:{ENCODED}@127.0.0.1:{serve(tls(authority.issued('127.0.0.1')))}"
    assert await connects(NatsServer(url, ca_file=authority.file), caplog) is None
    monkeypatch.setenv("HOURBOOK_NATS_CA_FILE", authority.file)
    await check_nats(url)  # what `hourbook up` does first


async def test_a_wrong_name_and_an_unknown_authority_are_refused(
    authority: Authority, serve: Callable[[str], int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    user, other = f"tls://hourbook:{ENCODED}@", Authority(tmp_path / "other")
    port = serve(tls(authority.issued("nats.example.org")))
    said = await connects(NatsServer(f"{user}127.0.0.1:{port}", ca_file=authority.file), caplog)
    assert said is not None
    assert "the server's certificate is not trusted" in said
    assert "127.0.0.1" in said
    for ca_file in (other.file, ""):
        said = await connects(NatsServer(f"{user}127.0.0.1:{port}", ca_file=ca_file), caplog)
        assert said is not None
        assert "the server's certificate is not trusted" in said
        assert "HOURBOOK_NATS_CA_FILE" in said


async def test_a_server_without_tls_does_not_get_the_password(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    heard = bytearray()

    async def speaks_in_clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"tls_required":false}\r\n')
        heard.extend(await reader.read(10_000))
        writer.close()

    async with await asyncio.start_server(speaks_in_clear, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"tls://hourbook:{ENCODED}@127.0.0.1:{port}"
        said = await connects(NatsServer(url, ca_file=authority.file), caplog)
    assert said == "the server offers no TLS, and HOURBOOK_NATS_URL begins with tls://"
    assert not heard


async def test_a_server_that_asks_for_a_certificate_gets_it(
    authority: Authority, serve: Callable[[str], int], caplog: pytest.LogCaptureFixture
) -> None:
    mine = authority.issued("relay.example.org")
    port = serve(tls(authority.issued("127.0.0.1"), f', ca_file: "{authority.file}", verify: true'))
    url = f"tls://hourbook:{ENCODED}@127.0.0.1:{port}"
    assert await connects(NatsServer(url, authority.file, *mine), caplog) is None
    assert await connects(NatsServer(url, authority.file), caplog) is not None


async def test_a_wrong_password_is_said_with_the_setting_and_without_the_password(
    serve: Callable[[str], int], caplog: pytest.LogCaptureFixture
) -> None:
    port = serve("")
    for user in ("hourbook:wr0ng-p4ss", "nobody:wr0ng-p4ss", "wr0ng-p4ss"):
        url = f"nats://{user}@127.0.0.1:{port}"
        said = await connects(NatsServer(url), caplog)
        assert said is not None
        assert "refuses the user or the password of HOURBOOK_NATS_URL" in said
        with pytest.raises(Failure, match=r"HOURBOOK_NATS_URL: cannot use nats://.*\*\*\*@127") as failure:
            await check_nats(url)
        told = await asyncio.to_thread(
            hourbook, "status", HOURBOOK_DATABASE_URL="postgresql://127.0.0.1:9/x", HOURBOOK_NATS_URL=url
        )
        assert "refuses the user or the password of HOURBOOK_NATS_URL" in told.stdout
        assert "wr0ng" not in f"{said}{failure.value}{told.stdout}{told.stderr}{caplog.text}"


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (NatsServer("nats://me:se/cret@host:4222"), "%2F for /"),
        (NatsServer("nats://me:se#cret@host:4222"), "%2F for /"),
        (NatsServer("nats://me:secret@:4222"), "HOURBOOK_NATS_URL should be nats://"),
        (NatsServer("https://me:secret@host"), "HOURBOOK_NATS_URL should be nats://"),
        (NatsServer("nats://me:secret@host:port"), "HOURBOOK_NATS_URL should be nats://"),
        (NatsServer("nats://me:secret@host", ca_file="ca.pem"), "HOURBOOK_NATS_URL should begin with tls://"),
        (NatsServer("nats://a:secret@x,tls://a:secret@y"), "all of them should begin with tls://"),
        (NatsServer("tls://me:secret@host", ca_file="nothing.pem"), "HOURBOOK_NATS_CA_FILE should name a file"),
        (NatsServer("tls://me:secret@host", cert_file="x.pem"), "set both HOURBOOK_NATS_CERT_FILE"),
        (NatsServer("nats://host", credentials_file="nothing.creds"), "HOURBOOK_NATS_CREDENTIALS_FILE should name"),
    ],
)
def test_a_wrong_setting_is_named_without_the_password(server: NatsServer, words: str) -> None:
    with pytest.raises(BadNatsSetting) as wrong:
        server.options()
    assert words in str(wrong.value)
    assert "cret" not in f"{wrong.value}{without_password(server.url)}{redacted(str(wrong.value), server.url)}"


def test_an_address_is_split_into_what_nats_py_takes() -> None:
    assert NatsServer(f"nats://me:{ENCODED}@a:1,nats://b").options() == {
        "servers": ["nats://a:1", "nats://b"],
        "user": "me",
        "password": PASSWORD,
    }
    assert NatsServer("nats://a%2Ftoken@a:1").options() == {"servers": ["nats://a:1"], "token": "a/token"}
    assert NatsServer("localhost:4222").options() == {"servers": ["nats://localhost:4222"]}


@pytest.mark.parametrize("service", ["command", "projector", "notify", "sealer"])
def test_a_service_with_a_wrong_address_says_so_and_shows_no_password(service: str, tmp_path: Path) -> None:
    told = hourbook(
        service,
        HOURBOOK_DATABASE_URL="postgresql://127.0.0.1:9/nowhere",
        HOURBOOK_NATS_URL="nats://me:se/cret@host:4222",
        HOURBOOK_AUDIT_KEY_FILE=str(tmp_path / "none"),
        HOURBOOK_COMMAND_PORT=str(free_port()),
        HOURBOOK_PROJECTOR_PORT=str(free_port()),
    )
    assert told.returncode == 1
    assert "HOURBOOK_NATS_URL should be nats://" in told.stderr
    assert "cret" not in told.stderr
