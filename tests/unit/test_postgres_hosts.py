"""The hosts that the address of a database names."""

from __future__ import annotations

import asyncpg
import pytest

from shared.host_race import NoHostTaken
from shared.postgres import told
from shared.postgres_hosts import BadAddress, hosts_of, parse_address


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:p%40w@h1:5433/db?sslmode=disable",
        "postgresql://h1",
        "postgresql:///db?host=/run/postgresql",
        "postgresql:///db",
        "postgres://user@[::1]:5433/db",
    ],
)
def test_an_address_with_one_host_is_taken_as_it_is(url: str) -> None:
    assert [host.url for host in hosts_of(url)] == [url]


@pytest.mark.parametrize(
    ("url", "names", "urls"),
    [
        (
            "postgresql://u:p%2Cw@h1:5433,h2/db?sslmode=require&passfile=/a/b%20c",
            ["h1:5433", "h2:5432"],
            [
                "postgresql://u:p%2Cw@h1:5433/db?sslmode=require&passfile=/a/b%20c",
                "postgresql://u:p%2Cw@h2:5432/db?sslmode=require&passfile=/a/b%20c",
            ],
        ),
        (
            "postgresql://u@/db?host=a,b&port=1,2&user=x",
            ["a:1", "b:2"],
            ["postgresql://u@a:1/db?user=x", "postgresql://u@b:2/db?user=x"],
        ),
        ("postgresql:///db?host=a,b&port=7", ["a:7", "b:7"], ["postgresql://a:7/db", "postgresql://b:7/db"]),
        ("postgresql:///db?host=a,b&port=,7", ["a:5432", "b:7"], ["postgresql://a:5432/db", "postgresql://b:7/db"]),
        (
            "postgres://[::1]:1,[fe80::2]/db",
            ["[::1]:1", "[fe80::2]:5432"],
            ["postgres://[::1]:1/db", "postgres://[fe80::2]:5432/db"],
        ),
        (
            "postgresql://%2Frun%2Fone:1,h2:2/db",
            ["/run/one:1", "h2:2"],
            ["postgresql:///db?host=/run/one&port=1", "postgresql://h2:2/db"],
        ),
        (
            "postgresql://a@b:c@h1,h2",
            ["h1:5432", "h2:5432"],
            ["postgresql://a@b:c@h1:5432", "postgresql://a@b:c@h2:5432"],
        ),
    ],
)
def test_several_hosts_are_an_address_each(url: str, names: list[str], urls: list[str]) -> None:
    hosts = hosts_of(url)
    assert [host.name for host in hosts] == names
    assert [host.url for host in hosts] == urls


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:secret@h1,h2/db?port=1,2,3", "2 hosts and 3 ports"),
        ("postgresql://u:secret@h1:x,h2/db", "nobody can read: 'h1:x'"),
        ("postgresql://u:secret@/db?host=a,b&port=x", "port 'x'"),
        ("postgresql://u:secret@h1,,h2/db", "nobody can read"),
        ("postgresql://u:secret@/db?host=a,", "empty host"),
        ("h1,h2 secret", "must be like postgresql://"),
    ],
)
def test_an_address_that_nobody_can_read_is_named_without_its_password(url: str, said: str) -> None:
    with pytest.raises(BadAddress, match=said) as raised:
        hosts_of(url)
    assert "secret" not in str(raised.value)


def test_an_address_that_is_taken_apart_is_put_together_again() -> None:
    for url in ("postgresql://u:p@h1:1,h2:2/db?a=b", "postgresql://h1", "postgresql:///db", "postgresql://h1/?x=1"):
        assert parse_address(url).text() == url


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoHostTaken("no host was taken: db-1.example:5432 is a standby"), "no host of the database takes them now"),
        (ConnectionRefusedError(111, "Connect call failed ('10.0.0.7', 5432)"), "ConnectionRefusedError"),
        (TimeoutError(), "TimeoutError"),
        (asyncpg.CannotConnectNowError("the database system is starting up"), "the database system is starting up"),
    ],
)
def test_a_client_is_told_no_address_of_the_database(error: Exception, said: str) -> None:
    assert told(error) == said
