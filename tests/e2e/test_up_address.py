"""The one address of `hourbook up`: who may use it, under which names, over HTTPS; and the README's first commands."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.cli.up.embedded import free_port
from tests.support.authority import certificate
from tests.support.running import WAIT_S, Running, hourbook, until

README = Path(__file__).parents[2] / "README.md"
AUTH = '[oidc.egi]\nissuer = "https://idp.example.org"\naudience = "hourbook"\n'
PAIR = ("--services", "command", "--services", "query")
STRANGERS = [
    {"Origin": "https://evil.example", "Host": "evil.example", "Content-Type": "text/plain"},
    {"Host": "evil.example"},
    {"Origin": "https://evil.example"},
    {"Origin": "null", "Content-Type": "text/plain"},
    {"Sec-Fetch-Site": "cross-site"},
]


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("fresh") / "output", "--ephemeral") as up:
        yield up


def tour() -> list[tuple[str, str]]:
    """The README's commands with curl, and the answer that it shows for each, in a year that is far enough."""
    text = README.read_text().replace("2030-", "2086-")
    found = re.findall(r"^    \$ (curl '?localhost:8080.*)\n((?:    [^$\n].*\n)*)", text, re.MULTILINE)
    return [(command, "".join(line[4:] + "\n" for line in shown.splitlines())) for command, shown in found]


def without_ids(text: str) -> str:
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text)
    return re.sub(r'"at":"[^"]*"', '"at":"NOW"', text).replace("\r\n", "\n").strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_first_commands_of_the_readme_answer_what_it_shows(fresh: Running) -> None:
    commands = tour()
    assert len(commands) > 8
    for command, shown in commands:
        words = shlex.split(command.replace("localhost:8080", f"localhost:{fresh.port}"))

        def run(words: list[str] = words) -> str:
            done = subprocess.run([*words, "-sS"], capture_output=True, text=True, check=True, timeout=WAIT_S)
            return without_ids(done.stdout)

        if "-d" in words:
            assert run() == without_ids(shown), command
        elif shown:  # a read shows the last command soon
            until(lambda shown=shown, run=run: run() == without_ids(shown), run)
        else:
            assert '"code"' not in run(), command


def test_a_stranger_changes_nothing(fresh: Running) -> None:
    before = httpx.get(f"{fresh.url}/health").json()["head"]
    assert "open: nobody signs in, and whoever reaches this address may do everything" in fresh.output
    ports = [*fresh_ports(fresh), fresh.port]
    assert len(ports) > 2
    for port in ports:
        for headers in STRANGERS:
            answer = httpx.post(f"http://127.0.0.1:{port}/projects/create", content=b'{"id": "evil"}', headers=headers)
            assert answer.status_code == 403, (port, headers, answer.text)
            assert answer.json()["code"] in ("unknown_host", "cross_site")
        rebound = httpx.get(f"http://127.0.0.1:{port}/events", headers={"Host": "evil.example"})
        assert (rebound.status_code, rebound.json()["code"]) == (403, "unknown_host")
    assert httpx.get(f"{fresh.url}/health").json()["head"] == before


def fresh_ports(up: Running) -> list[int]:
    """The ports on which its services listen."""
    run = next(iter(Path(path) for path in re.findall(r"and logs: (.*)", up.output))) / "run.json"
    processes = httpx.Response(200, content=run.read_bytes()).json()["processes"]
    return [processes[name]["port"] for name in ("command", "query", "projector")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "--auth FILE"),
        (["--host", "::"], "HOURBOOK_OPEN=yes"),
        (["--auth", "/nowhere/auth.toml"], "HOURBOOK_AUTH_FILE: /nowhere/auth.toml: No such file or directory"),
        (["--tls-cert", "/nowhere/cert.pem"], "HOURBOOK_TLS_CERT_FILE and HOURBOOK_TLS_KEY_FILE go together"),
        (["--tls-cert", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem"], "/nowhere/cert.pem: No such file"),
    ],
)
def test_up_refuses_before_anything_starts(options: list[str], words: str, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    answer = hourbook("up", "--data-dir", str(directory), "--port", str(free_port()), *options)
    assert answer.returncode == 1
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not directory.exists()


def test_a_field_of_the_auth_file_is_named_before_anything_starts(tmp_path: Path) -> None:
    auth = tmp_path / "auth.toml"
    auth.write_text(AUTH.replace('"hourbook"', "5"))
    for options, environment in ((["--auth", str(auth)], {}), ([], {"HOURBOOK_AUTH_FILE": str(auth)})):
        answer = hourbook("up", "--data-dir", str(tmp_path / "data"), *options, **environment)
        assert answer.returncode == 1
        assert str(auth) in answer.stderr
        assert "audience" in answer.stderr


@pytest.mark.parametrize("service", ["command", "query", "projector"])
def test_a_service_that_others_reach_refuses_to_start_without_sign_in(service: str) -> None:
    settings = {"HOURBOOK_DATABASE_URL": "postgresql://127.0.0.1:1/none", "HOURBOOK_HOST": "0.0.0.0"}
    answer = hourbook(service, **settings)
    assert answer.returncode == 1
    assert "nobody signs in" in answer.stderr
    assert "HOURBOOK_OPEN=yes" in answer.stderr


@pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")
def test_it_listens_on_ipv6_and_says_who_signs_in(tmp_path: Path) -> None:
    auth, data = tmp_path / "auth.toml", tmp_path / "data"
    auth.write_text(AUTH)
    options = ("--data-dir", str(data), "--host", "::1", "--auth", str(auth))
    with Running(tmp_path / "output", *options, *PAIR) as up:
        assert f"Hourbook runs at http://[::1]:{up.port}" in up.output
        assert "signed in: by egi" in up.output
        assert f"hourbook token create first --role admin --operator --out first.token --data-dir {data}" in up.output
        assert "curl" not in up.output  # a request without a credential would be refused
        assert httpx.get(f"http://[::1]:{up.port}/health").status_code == 200
        status = hourbook("status", "--data-dir", str(data)).stdout
        assert re.search(r"access +- +- +signed in: by egi", status), status
        assert f"answers at http://[::1]:{up.port}" in status
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{up.port}/health")


def test_the_one_address_speaks_https(tmp_path: Path) -> None:
    issued = certificate(tmp_path, "127.0.0.1", "localhost", "hourbook.example.org")
    data = tmp_path / "data"
    options = ("--data-dir", str(data), "--host", "0.0.0.0", *PAIR)
    files = ("--tls-cert", str(issued.cert), "--tls-key", str(issued.key))
    settings = {"HOURBOOK_OPEN": "yes", "HOURBOOK_PUBLIC_URL": "https://hourbook.example.org"}
    with Running(tmp_path / "output", *options, *files, **settings) as up:
        assert "Hourbook runs at https://hourbook.example.org after" in up.output
        url = f"https://127.0.0.1:{up.port}"
        with httpx.Client(base_url=url, verify=ssl.create_default_context(cafile=issued.authority)) as client:
            project = {"id": "gaia", "name": "Gaia"}
            page = {"Host": "hourbook.example.org", "Origin": "https://hourbook.example.org"}
            assert client.post("/projects/create", json=project, headers=page).status_code == 201
            for headers in ({"Host": "evil.example"}, {"Origin": "http://hourbook.example.org"}):
                assert client.post("/projects/create", json=project, headers=headers).status_code == 403
            assert client.get("/projects", headers={"Host": "192.0.2.7"}).status_code == 200
            assert "max-age" in client.get("/").headers["Strict-Transport-Security"]
        trusting = {"HOURBOOK_CA_FILE": str(issued.authority)}
        status = hourbook("status", "--data-dir", str(data), "--url", url, **trusting).stdout
        assert f"answers at {url}" in status, status
        assert "open: nobody signs in" in status
        assert "CERTIFICATE_VERIFY_FAILED" in hourbook("status", "--data-dir", str(data), "--url", url).stdout
        demo = hourbook("demo", "--url", url)
        assert demo.returncode == 1
        assert "HOURBOOK_CA_FILE names the file of an authority" in demo.stderr
        wrong = hourbook("demo", "--url", url, HOURBOOK_CA_FILE="/nowhere/ca.pem")
        assert "HOURBOOK_CA_FILE: /nowhere/ca.pem is not a file of certificates" in wrong.stderr
