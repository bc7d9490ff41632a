"""The guard in front of real servers: a service by uvicorn, the gateway and the projector's port by aiohttp."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ServerDisconnectedError, TCPConnector, web
from litestar import Litestar, Request, get, post

from services.cli.up.gateway import Gateway
from services.cli.up.upstreams import on_loopback
from shared.http.aiohttp_server import answer, serving
from shared.http.connection_limits import ConnectionLimits
from shared.http.entrance import LOCAL, Entrance, entrance_of
from shared.http.monitoring import handling
from shared.http.problem_document import page_headers
from shared.http.problems import EXCEPTION_HANDLERS
from shared.http.server_settings import CannotServe, ServerSettings
from tests.support.authority import Certificate, certificate
from tests.support.listening import listening
from tests.support.raw import Answer, asked

SERVERS = ("service", "gateway", "projector")
JSON = b'{"id": "gaia", "name": "Gaia"}'
ATTACKS = {
    "another host": b"Host: evil.example\r\n",
    "another host with our port": b"Host: evil.example:8080\r\n",
    "a name that begins as ours": b"Host: 127.0.0.1.evil.example\r\n",
    "no host": b"",
    "two hosts": b"Host: localhost\r\nHost: evil.example\r\n",
    "two hosts, the other first": b"Host: evil.example\r\nhost: localhost\r\n",
    "a user before the host": b"Host: evil.example@127.0.0.1\r\n",
    "a number for an address": b"Host: 2130706433\r\n",
    "another page": b"Host: localhost\r\nOrigin: https://evil.example\r\n",
    "a page without an origin": b"Host: localhost\r\nOrigin: null\r\n",
    "a page at another port": b"Host: localhost:8080\r\nOrigin: http://localhost:8081\r\n",
    "another site by the browser's word": b"Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
    "the same site is not this page": b"Host: localhost\r\nsec-fetch-site: same-site\r\n",
    "a plain form": b"Host: localhost\r\nOrigin: https://evil.example\r\nContent-Type: text/plain\r\n",
    "a form with parts": b"Host: localhost\r\nOrigin: null\r\nContent-Type: multipart/form-data; boundary=a\r\n",
    "a beacon": b"Host: localhost\r\nSec-Fetch-Site: cross-site\r\nContent-Type: text/plain\r\n",
    "hidden by Connection": b"Host: localhost\r\nConnection: Origin, close\r\nOrigin: https://evil.example\r\n",
}


class Heard:
    """An application, and what has reached it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []

    def app(self) -> Litestar:
        @get(["/", "/things/{thing:int}"])
        async def read(request: Request[Any, Any, Any]) -> dict[str, str]:
            self.requests.append(("GET", dict(request.headers)))
            return {"it": "is"}

        @post("/things/create", status_code=201)
        async def create(request: Request[Any, Any, Any]) -> dict[str, str]:
            await request.body()
            self.requests.append(("POST", dict(request.headers)))
            return {"id": "1"}

        options: dict[str, Any] = {"exception_handlers": EXCEPTION_HANDLERS, "logging_config": None}
        return Litestar([read, create], openapi_config=None, **options)


@asynccontextmanager
async def served(server: str, heard: Heard, entrance: Entrance = LOCAL) -> AsyncIterator[str]:
    """The address of one of SERVERS. Behind the gateway is a service that lets everything through that names us."""
    if server == "service":
        async with listening(heard.app(), entrance=entrance) as url:
            yield url
        return
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"{'https' if entrance.tls else 'http'}://127.0.0.1:{taken.getsockname()[1]}"
        if server == "gateway":
            async with listening(heard.app()) as behind:
                port = int(behind.rpartition(":")[2])
                gateway = Gateway(on_loopback({"query": port, "command": port}.get), entrance=entrance)
                await gateway.start(taken)
                try:
                    yield url
                finally:
                    await gateway.stop()
            return

        async def health() -> web.Response:
            heard.requests.append(("GET", {}))
            return answer(b"{}")

        async with serving(handling({"/things/1": health}), ConnectionLimits(), 1, entrance) as runner:
            await web.SockSite(runner, taken, ssl_context=entrance.tls).start()
            yield url


def post_with(headers: bytes) -> bytes:
    return b"POST /things/create HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (headers, len(JSON), JSON)


def assert_refused(answered: Answer) -> None:
    """A 403 with a code of the guard, or a 400: some servers refuse such a head before the guard sees it."""
    codes = {"unknown_host", "cross_site", "malformed_request"}
    assert answered.status in (400, 403), answered
    assert answered.problem["code"] in codes
    assert answered.headers["x-content-type-options"] == "nosniff"
    assert not [name for name in answered.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_refused_and_reaches_nothing(server: str, attack: str) -> None:
    heard = Heard()
    async with served(server, heard) as url:
        assert_refused(await asked(url, post_with(ATTACKS[attack])))
    assert heard.requests == []


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("method", [b"GET", b"OPTIONS", b"HEAD"])
async def test_a_read_for_another_host_is_refused_too(server: str, method: bytes) -> None:
    heard = Heard()
    async with served(server, heard) as url:
        request = method + b" /things/1 HTTP/1.1\r\nHost: rebound.evil.example\r\n\r\n"
        answered = await asked(url, request, bodiless=method == b"HEAD")
        assert answered.status == 403
    assert heard.requests == []


@pytest.mark.parametrize("server", SERVERS)
async def test_a_target_with_a_host_is_refused(server: str) -> None:
    heard = Heard()
    async with served(server, heard) as url:
        for target in (b"http://evil.example/things/1", b"http://localhost/things/1", b"//evil.example/things/1"):
            answered = await asked(url, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answered.status in (400, 404), (target, answered)
    assert heard.requests == []


@pytest.mark.parametrize("server", SERVERS[:2])
async def test_a_program_and_the_page_itself_go_on(server: str) -> None:
    heard = Heard()
    async with served(server, heard) as url:
        host = url.removeprefix("http://").encode()
        form = b"Content-Type: application/x-www-form-urlencoded\r\n"  # as `curl -d` says
        assert (await asked(url, post_with(b"Host: %s\r\n" % host + form))).status == 201
        page = b"Host: %s\r\nOrigin: http://%s\r\nSec-Fetch-Site: same-origin\r\n" % (host, host)
        assert (await asked(url, post_with(page))).status == 201
    assert [method for method, _ in heard.requests] == ["POST", "POST"]


@pytest.mark.parametrize("server", SERVERS)
async def test_no_answer_permits_a_page_of_another_origin_to_read_it(server: str) -> None:
    preflight = (
        b"OPTIONS /things/1 HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
        b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Private-Network: true\r\n\r\n"
    )
    read = b"GET /things/1 HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n"
    async with served(server, Heard()) as url:
        for request in (preflight, read):
            answered = await asked(url, request)
            assert answered.status in (200, 204)
            assert answered.headers["cross-origin-resource-policy"] == "same-origin"
            assert not [name for name in answered.headers if name.startswith("access-control-")]


async def test_the_gateway_passes_on_what_the_guards_decide_by_and_drops_what_anybody_could_forge() -> None:
    heard = Heard()
    entrance = entrance_of(ServerSettings(allowed_hosts="hourbook.example.org"))
    forged = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "x-forwarded-proto": "https",
        "X-Forwarded-Anything": "a",
        "Forwarded": "for=203.0.113.9;host=evil.example",
        "X-Real-IP": "203.0.113.9",
        "X-Hourbook-Principal": "admin",
        "X-Hourbook-Auth": "oidc",
    }
    kept = {
        "Host": "LOCALHOST:1234",
        "Origin": "http://localhost:1234",
        "Sec-Fetch-Site": "same-origin",
        "Authorization": "Bearer hbk_x",
        "X-Auth-Token": "t",
        "Cookie": "a=b",
        "X-Hourbook-Actor": "ada",
    }
    # Nobody can have them dropped on the way. An actor that is named here is dropped: then nobody is named.
    dropped = {"Connection": ", ".join(kept)}
    async with served("gateway", heard, entrance) as url, ClientSession() as client:
        path = f"{url}/things/create"
        async with client.post(path, data=JSON, headers={**forged, **kept, **dropped}) as answered:
            assert answered.status == 201, await answered.text()
    ((_, headers),) = heard.requests
    assert {name: headers.get(name.lower()) for name in kept} == kept | {"X-Hourbook-Actor": None}
    assert headers["x-forwarded-for"] == "127.0.0.1"  # the gateway's own word
    assert not {name.lower() for name in forged} - {"x-forwarded-for"} & headers.keys()


async def test_a_page_is_closed_to_others() -> None:
    headers = page_headers()
    policy = dict(part.partition(" ")[::2] for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert {policy[f"{kind}-src"] for kind in ("script", "style", "connect", "img", "font")} == {"'self'"}
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.fixture
def issued(tmp_path: Path) -> Certificate:
    return certificate(tmp_path, "127.0.0.1", "hourbook.example.org")


def https(issued: Certificate, **more: str) -> Entrance:
    return entrance_of(ServerSettings(tls_cert_file=str(issued.cert), tls_key_file=str(issued.key), **more))


def trusting_client(issued: Certificate) -> ClientSession:
    return ClientSession(connector=TCPConnector(ssl=ssl.create_default_context(cafile=issued.authority)))


@pytest.mark.parametrize("server", SERVERS)
async def test_a_server_speaks_https_to_who_trusts_its_authority(server: str, issued: Certificate) -> None:
    entrance = https(issued, public_url="https://hourbook.example.org")
    async with served(server, Heard(), entrance) as url:
        assert url.startswith("https://")
        async with trusting_client(issued) as client:
            async with client.get(f"{url}/things/1") as answered:
                assert answered.status == 200, await answered.text()
                assert answered.headers["Strict-Transport-Security"] == "max-age=31536000"
            async with client.post(f"{url}/things/create", headers={"Host": "evil.example"}) as refused:
                assert refused.status == 403
                assert refused.headers["Strict-Transport-Security"] == "max-age=31536000"
        async with ClientSession() as stranger:
            with pytest.raises(ssl.SSLCertVerificationError):
                await stranger.get(f"{url}/things/1")


@pytest.mark.parametrize("server", SERVERS[:2])
async def test_https_is_tls_1_2_or_newer_and_nothing_else(server: str, issued: Certificate) -> None:
    old = ssl.create_default_context(cafile=issued.authority)
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with served(server, Heard(), https(issued)) as url:
        async with ClientSession(connector=TCPConnector(ssl=old)) as client:
            with pytest.raises(OSError):  # noqa: PT011  (its text is OpenSSL's)
                await client.get(f"{url}/things/1")
        async with ClientSession() as client:
            with pytest.raises(ServerDisconnectedError):
                await client.get(url.replace("https", "http"))
        async with trusting_client(issued) as client, client.get(url) as answered:
            assert answered.status == 200
            assert "Strict-Transport-Security" not in answered.headers  # localhost's other ports speak plain HTTP


async def test_a_page_over_http_sends_no_command_to_https(issued: Certificate) -> None:
    heard = Heard()
    async with served("service", heard, https(issued)) as url, trusting_client(issued) as client:
        for origin, status in ((url, 201), (url.replace("https", "http"), 403)):
            async with client.post(f"{url}/things/create", data=JSON, headers={"Origin": origin}) as answered:
                assert answered.status == status
    assert len(heard.requests) == 1


def test_a_wrong_certificate_is_named(issued: Certificate, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = certificate(tmp_path / "other", "127.0.0.1")
    broken = tmp_path / "broken.pem"
    broken.write_text("no PEM")
    for cert, key in ((issued.cert, other.key), (broken, issued.key), (issued.cert, broken)):
        with pytest.raises(CannotServe, match=r"HOURBOOK_TLS_CERT_FILE .* are not a certificate and its key"):
            entrance_of(ServerSettings(tls_cert_file=str(cert), tls_key_file=str(key)))


def test_a_key_that_others_may_read_is_warned_of(issued: Certificate, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        https(issued)
        assert not caplog.records
        issued.key.chmod(0o644)
        https(issued)
    assert f"other users may read {issued.key}" in caplog.text
