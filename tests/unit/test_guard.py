"""The guard: which requests it refuses, by their headers alone; and whether a server may start."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.up.address import address_of
from shared.http.entrance import HSTS, entrance_of
from shared.http.guard import KNOWN_MAX, Guard
from shared.http.host_names import AllowedHosts, hosts_from, origin_of
from shared.http.server_settings import CannotServe, ServerSettings
from shared.settings import settings_from

PUBLIC = origin_of("https://hourbook.example.org", "F")
BEHIND_A_PROXY = Guard(AllowedHosts([PUBLIC.host]), public=PUBLIC)
LOCAL = Guard()


def code(guard: Guard, method: str, path: str = "/projects/create", **headers: str) -> str | None:
    """The code of the refusal; None if there is none. `sec_fetch_site` stands for Sec-Fetch-Site."""
    fields = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    refused = guard.refusal(method, path, fields)
    return None if refused is None else refused.code


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "DELETE", "PUT", "PATCH"])
def test_another_host_is_refused_for_every_method(method: str) -> None:
    assert code(LOCAL, method, host="localhost:8080") is None
    assert code(LOCAL, method, host="evil.example") == "unknown_host"
    assert code(LOCAL, method) == "unknown_host"
    two = [(b"host", b"localhost"), (b"x", b"y"), (b"host", b"localhost")]
    refused = LOCAL.refusal(method, "/", two)
    assert refused is not None
    assert refused.code == "unknown_host"


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "post", "UNKNOWN"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://localhost:8081"},
        {"origin": "http://localhost"},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": "http://localhost:8080.evil.example"},
        {"origin": "http://localhost:8080/"},
        {"origin": "http://localhost:8080, https://evil.example"},
        {"origin": "localhost:8080"},
        {"origin": "file://"},
        {"origin": "chrome-extension://abcdef"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": ""},
        {"sec_fetch_site": "Same-Origin"},
        {"origin": "http://localhost:8080", "sec_fetch_site": "cross-site"},
        {"origin": "https://evil.example", "sec_fetch_site": "same-origin"},
    ],
    ids=str,
)
def test_a_command_of_another_page_is_refused(method: str, headers: dict[str, str]) -> None:
    assert code(LOCAL, method, host="localhost:8080", **headers) == "cross_site"


def test_a_command_of_the_page_itself_and_of_a_program_pass() -> None:
    for headers in (
        {},
        {"origin": "http://localhost:8080"},
        {"origin": "HTTP://LOCALHOST:8080"},
        {"origin": "http://localhost:8080", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "same-origin"},
    ):
        assert code(LOCAL, "POST", host="localhost:8080", **headers) is None
    assert code(LOCAL, "POST", host="[::1]:8080", origin="http://[::1]:8080") is None
    assert code(LOCAL, "POST", host="localhost", origin="http://localhost:80") is None


def test_an_origin_comes_once() -> None:
    fields = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"origin", b"http://localhost")]
    refused = LOCAL.refusal("POST", "/", fields)
    assert refused is not None
    assert refused.code == "cross_site"


def test_a_read_of_another_page_is_answered_but_it_cannot_read_the_answer() -> None:
    assert code(LOCAL, "GET", host="localhost", origin="https://evil.example", sec_fetch_site="cross-site") is None


def test_the_public_address_is_this_very_address() -> None:
    assert code(BEHIND_A_PROXY, "POST", host="hourbook.example.org", origin=PUBLIC.text) is None
    assert (
        code(BEHIND_A_PROXY, "POST", host="127.0.0.1:8080", origin=PUBLIC.text) is None
    )  # the proxy gives its own name
    assert code(BEHIND_A_PROXY, "POST", host="127.0.0.1:8080", origin="http://127.0.0.1:8080") is None
    assert (
        code(BEHIND_A_PROXY, "POST", host="hourbook.example.org", origin="http://hourbook.example.org") == "cross_site"
    )
    assert code(BEHIND_A_PROXY, "POST", host="hourbook.example.org", origin="https://evil.example.org") == "cross_site"


def test_a_page_over_http_is_not_the_page_of_a_server_that_speaks_https() -> None:
    guard = Guard(https=True)
    assert code(guard, "POST", host="localhost:8443", origin="https://localhost:8443") is None
    assert code(guard, "POST", host="localhost:8443", origin="http://localhost:8443") == "cross_site"


def test_a_refusal_says_what_to_do_and_shows_at_most_a_hundred_letters() -> None:
    host = LOCAL.refusal("GET", "/", [(b"host", b"hourbook.example.org")])
    site = LOCAL.refusal("POST", "/", [(b"host", b"localhost"), (b"origin", b"https://" + b"e" * 9000)])
    assert host is not None
    assert site is not None
    assert "HOURBOOK_ALLOWED_HOSTS" in host.detail
    assert "HOURBOOK_PUBLIC_URL" in site.detail
    assert max(len(host.detail), len(site.detail)) < 500


def test_the_hosts_that_are_remembered_are_bounded() -> None:
    guard = Guard(AllowedHosts(any_address=True))
    for number in range(3 * KNOWN_MAX):
        assert code(guard, "GET", host=f"10.0.{number // 256}.{number % 256}") is None
    assert len(guard._known) <= KNOWN_MAX
    assert code(guard, "GET", host="evil.example") == "unknown_host"


def test_health_checks_of_a_cluster_are_answered_under_any_name() -> None:
    exposed = entrance_of(ServerSettings(host="0.0.0.0", open="yes")).guard
    for headers in ({}, {"host": "10.1.2.3:8082"}, {"host": "node-7.cluster.example"}):
        for path in ("/health", "/live"):
            assert code(exposed, "GET", path, **headers) is None
    assert code(exposed, "GET", "/projects", host="10.1.2.3:8082") is None
    assert code(exposed, "GET", "/projects", host="node-7.cluster.example") == "unknown_host"
    assert code(exposed, "POST", "/health", host="node-7.cluster.example") == "unknown_host"
    assert code(LOCAL, "GET", "/health", host="evil.example") == "unknown_host"


def test_the_name_of_the_public_address_is_allowed_with_any_port() -> None:
    guard = entrance_of(
        ServerSettings(public_url="https://hourbook.example.org/book", allowed_hosts="two.example")
    ).guard
    for host in ("hourbook.example.org", "hourbook.example.org:8080", "two.example", "192.0.2.1"):
        assert code(guard, "GET", host=host) is None
    assert code(guard, "GET", host="three.example") == "unknown_host"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "hourbook.example.org"])
def test_a_server_that_others_reach_starts_only_with_sign_in_or_when_told_so(host: str, tmp_path: Path) -> None:
    auth = tmp_path / "auth.toml"
    auth.write_text('[keystone.ours]\nurl = "https://keystone.example.org/v3"\n')
    with pytest.raises(CannotServe, match=r"HOURBOOK_AUTH_FILE.*127\.0\.0\.1.*HOURBOOK_OPEN=yes"):
        entrance_of(ServerSettings(host=host))
    with pytest.raises(CannotServe):
        entrance_of(ServerSettings(host=host, open="no", allowed_hosts="hourbook.example.org"))
    entrance_of(ServerSettings(host=host, open="yes"))
    entrance_of(ServerSettings(host=host, auth_file=str(auth)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ServerSettings(auth_file="/nowhere/auth.toml"), "HOURBOOK_AUTH_FILE: /nowhere/auth.toml: No such file"),
        (ServerSettings(allowed_hosts="https://a"), "HOURBOOK_ALLOWED_HOSTS: 'https://a' is not a host"),
        (ServerSettings(open="y"), "HOURBOOK_OPEN: 'y' is neither yes nor no"),
        (ServerSettings(public_url="a"), "HOURBOOK_PUBLIC_URL: 'a' is not an address"),
        (ServerSettings(tls_cert_file="/a"), "set both, or none"),
        (ServerSettings(tls_cert_file="/nowhere/c", tls_key_file="/k"), "HOURBOOK_TLS_CERT_FILE: /nowhere/c: No such"),
    ],
)
def test_a_wrong_setting_is_named(settings: ServerSettings, words: str) -> None:
    with pytest.raises(CannotServe) as raised:
        entrance_of(settings)
    assert words in str(raised.value)


def test_a_field_of_the_auth_file_is_named(tmp_path: Path) -> None:
    auth = tmp_path / "auth.toml"
    auth.write_text("[oidc.egi]\nissuer = 'https://idp.example.org'\naudience = 5\n")
    with pytest.raises(CannotServe, match=r"auth\.toml: .*audience"):
        entrance_of(ServerSettings(auth_file=str(auth)))


def test_plain_http_promises_no_https() -> None:
    assert not HSTS.keys() & entrance_of(ServerSettings(public_url="https://hourbook.example.org")).headers.keys()


def test_up_tells_its_services_to_take_what_it_takes_itself() -> None:
    told = {
        "HOURBOOK_OPEN": "yes",
        "HOURBOOK_PUBLIC_URL": "http://localhost:8080",
        "HOURBOOK_ALLOWED_HOSTS": "a.example",
    }
    for host, ours in (("0.0.0.0", None), ("127.0.0.1", "unknown_host")):
        address = address_of(told, host, 8080, None, None, None)
        service = entrance_of(settings_from(address.for_services(told), ServerSettings)).guard
        for guard in (address.entrance.guard, service):
            assert code(guard, "GET", host="192.0.2.7:8080") == ours
            assert code(guard, "GET", "/health", host="probe.example") == ours
            assert code(guard, "GET", host="a.example") is None
            assert code(guard, "GET", host="evil.example") == "unknown_host"


def test_names_with_a_port_hold_for_that_port() -> None:
    guard = Guard(AllowedHosts(hosts_from("hourbook.example.org:8443", "F")))
    assert code(guard, "GET", host="hourbook.example.org:8443") is None
    assert code(guard, "GET", host="hourbook.example.org") == "unknown_host"
