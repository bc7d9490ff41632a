"""Which hosts a request may name: the forms of names and addresses, and the tricks with them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidField
from shared.http.host_names import (
    AllowedHosts,
    hosts_from,
    in_url,
    is_loopback_host,
    origin_of,
    parse_host,
    parse_origin,
)

LOCAL = AllowedHosts()
LOOPBACK = ip_network("127.0.0.0/8")


def is_allowed(text: str, hosts: AllowedHosts = LOCAL) -> bool:
    host = parse_host(text)
    return host is not None and host in hosts


@pytest.mark.parametrize(
    "text",
    [
        "localhost",
        "LOCALHOST:8080",
        "localhost.",
        "localhost.:8080",
        "127.0.0.1",
        "127.0.0.1:65535",
        "127.255.255.254:1",
        "[::1]",
        "[::1]:8080",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]:8080",
        "[::FFFF:7f00:1]",
    ],
)
def test_loopback_names_are_allowed_with_any_port(text: str) -> None:
    assert is_allowed(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.localhost",
        "notlocalhost",
        "localhost..",
        "127.0.0.1..",
        "user@127.0.0.1",
        "127.0.0.1@evil.example",
        "127.0.0.1:80@evil.example",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:80:80",
        "127.0.0.1:+80",
        "127.0.0.1:\uff18\uff10",
        "127.0.0.1 ",
        " localhost",
        "localhost\n",
        "localhost\t",
        "localhost/",
        "localhost?evil.example",
        "localhost#evil",
        "localhost,evil.example",
        "http://localhost",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.1%00",
        "0.0.0.0",
        "128.0.0.1",
        "::1",
        "[::1",
        "::1]",
        "[::1]evil",
        "[::1%25lo]",
        "[::1%lo]",
        "[127.0.0.1]",
        "[::2]",
        "[::]",
        "[v1.x]",
        "[::ffff:128.0.0.1]",
        "ⓛocalhost",
        "ĺocalhost",
        "loca\x00lhost",
    ],
)
def test_nothing_else_is_allowed_without_a_setting(text: str) -> None:
    assert not is_allowed(text)


@given(st.ip_addresses(v=4), st.none() | st.integers(1, 65535))
def test_of_the_addresses_only_those_of_loopback_are_allowed(address: IPv4Address, port: int | None) -> None:
    suffix = "" if port is None else f":{port}"
    assert is_allowed(f"{address}{suffix}") == (address in LOOPBACK)
    assert is_allowed(f"[::ffff:{address}]{suffix}") == (address in LOOPBACK)
    assert is_allowed(f"{address}{suffix}", AllowedHosts(any_address=True))


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_is_read_in_every_way_to_write_it(address: IPv6Address) -> None:
    for text in (str(address), address.exploded, address.exploded.upper()):
        host = parse_host(f"[{text}]:8080")
        assert host is not None
        assert (host.address, host.port) == (address, 8080)


@given(st.text(max_size=40) | st.text("lochst127.:0[]@%-evil", max_size=20))
def test_whatever_is_allowed_is_a_loopback_address_or_localhost(text: str) -> None:
    if is_allowed(text):
        name = urlsplit(f"//{text}").hostname or ""
        assert name.removesuffix(".") == "localhost" or ip_address(name.removesuffix(".")).is_loopback or "ffff" in name


@given(st.text(max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    host = parse_host(text)
    if host is not None:
        again = parse_host(in_url(host.name) + ("" if host.port is None else f":{host.port}"))
        assert again == host
    parse_origin(text)


def test_the_operators_names_are_allowed_with_their_ports() -> None:
    hosts = AllowedHosts(hosts_from(" Hourbook.Example.org , other.example:8443,secure.example:443,::2,", "F"))
    for text in ("hourbook.example.org", "HOURBOOK.example.org.:81", "other.example:8443", "[::2]:8080"):
        assert is_allowed(text, hosts), text
    assert is_allowed("secure.example", hosts)
    for text in ("other.example", "other.example:8444", "x.hourbook.example.org", "secure.example:8443", "10.0.0.1"):
        assert not is_allowed(text, hosts), text


@pytest.mark.parametrize("text", ["https://hourbook.example.org", "*", "a b", "x,*.example.org", "user@host", "a/b"])
def test_what_is_not_a_host_is_named(text: str) -> None:
    with pytest.raises(InvalidField, match=r"HOURBOOK_ALLOWED_HOSTS: .* is not a host"):
        hosts_from(text, "HOURBOOK_ALLOWED_HOSTS")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Hourbook.example.org/", "https://hourbook.example.org"),
        ("https://hourbook.example.org:443", "https://hourbook.example.org"),
        ("http://hourbook.example.org:80/book", "http://hourbook.example.org"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://hourbook.example.org:80", "https://hourbook.example.org:80"),
    ],
)
def test_an_origin_is_written_as_a_browser_writes_it(url: str, origin: str) -> None:
    assert origin_of(url, "F").text == origin


@pytest.mark.parametrize("url", ["hourbook.example.org", "ftp://a", "https://", "https://u:p@host", "https://a b"])
def test_what_is_not_an_address_is_named(url: str) -> None:
    with pytest.raises(InvalidField, match=r"HOURBOOK_PUBLIC_URL: .* is not an address"):
        origin_of(url, "HOURBOOK_PUBLIC_URL")


def test_where_a_server_listens_is_loopback_or_not() -> None:
    for host in ("127.0.0.1", "127.3.2.1", "::1", "localhost", "LocalHost"):
        assert is_loopback_host(host), host
    for host in ("0.0.0.0", "::", "", "10.0.0.1", "myhost", "localhost.example.org", "127.1", "::ffff:0.0.0.0"):
        assert not is_loopback_host(host), host
