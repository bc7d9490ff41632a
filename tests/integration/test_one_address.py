"""The one address answers odd requests as the services' own ports do: status, code, headers and body."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from services.command.app import create_app as create_command
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app as create_query
from services.query.settings import Settings
from tests.support.listening import Addresses, one_address
from tests.support.raw import Answer, asked

HOST = b" HTTP/1.1\r\nHost: localhost\r\n"
PACKED = gzip.compress(b'{"id": "gaia", "name": "%s"}' % (b"x" * 500), mtime=0)
OF_THE_CALL = {"date", "x-request-id", "server"}  # the gateway's own answers have `Server`
# Where a gateway that passes requests on may answer in another way: it reads the head by its own parser.
OF_THE_PARSER = {"no host", "HTTP/1.0", "gzip as a transfer"}


class Odd(NamedTuple):
    service: str
    data: bytes


def read(path: bytes, *headers: bytes, body: bytes = b"", method: bytes = b"GET") -> Odd:
    return Odd("query", method + b" " + path + HOST + b"".join(line + b"\r\n" for line in headers) + b"\r\n" + body)


def command(body: bytes, *headers: bytes, path: bytes = b"/projects/create") -> Odd:
    length = b"Content-Length: %d" % len(body)
    return Odd("command", read(path, *headers, length, body=body, method=b"POST").data)


def in_chunks(body: bytes, *headers: bytes, end: bytes = b"0\r\n\r\n") -> Odd:
    data = b"%x\r\n%s\r\n" % (len(body), body) + end
    head = read(b"/projects/create", *headers, b"Transfer-Encoding: chunked", body=data, method=b"POST")
    return Odd("command", head.data)


ODD = {
    "gzip": command(PACKED, b"Content-Encoding: gzip"),
    "gzip in chunks": in_chunks(PACKED, b"Content-Encoding: GZIP"),
    "gzip that is large": command(gzip.compress(bytes(50_000_000), mtime=0), b"Content-Encoding: gzip"),
    "gzip that is none": command(b"{}", b"Content-Encoding: x-gzip, gzip"),
    "gzip that is empty": command(b"", b"Content-Encoding: gzip"),
    "gzip without a word": command(PACKED),
    "brotli": command(b"{}", b"Content-Encoding: identity", b"Content-Encoding: br"),
    "deflate at sign-out": command(b"{}", b"Content-Encoding: deflate", path=b"/sign-out"),
    "identity": command(b"{}", b"Content-Encoding: identity"),
    "gzip for a path that is not there": command(PACKED, b"Content-Encoding: gzip", path=b"/nope"),
    "a read that says gzip": read(b"/projects", b"Content-Encoding: gzip"),
    "a read with a body": read(b"/projects", b"Content-Length: 2", body=b"{}"),
    "gzip is accepted": read(b"/schema/openapi.json", b"Accept-Encoding: gzip"),
    "gzip is accepted by HEAD": read(b"/schema/openapi.json", b"Accept-Encoding: gzip, br", method=b"HEAD"),
    "no encoding is accepted": read(b"/schema/openapi.json", b"Accept-Encoding: identity"),
    "the page in gzip": read(b"/", b"Accept-Encoding: gzip"),
    "a table": read(b"/projects", b"Accept: text/csv"),
    "an etag": read(b"/projects", b"If-None-Match: *"),
    "a range": read(b"/schema/openapi.json", b"Range: bytes=0-10"),
    "not JSON": command(b"{"),
    "too large": command(b"x" * 1_200_000),
    "no body": read(b"/projects/create", method=b"POST")._replace(service="command"),
    "a large header": read(b"/projects", b"Authorization: Bearer " + b"a" * 30_000),
    "many headers": read(b"/projects", *(b"X-%d: a" % number for number in range(300))),
    "a long path": read(b"/projects?x=" + b"a" * 30_000),
    "an empty query": read(b"/projects?"),
    "a double slash": read(b"//projects"),
    "dots": read(b"/a/../projects"),
    "an encoded slash": read(b"/accounts/a%2Fb/usage"),
    "a bad percent sign": read(b"/accounts/%zz/usage"),
    "a name in Latin-1": command(b"{}", b"X-Hourbook-Actor: Zo\xeb"),
    "a trailer": in_chunks(b"{}", end=b"0\r\nX-Hourbook-Actor: eve\r\n\r\n"),
    "a chunk with more to say": in_chunks(b"{}", end=b"0;a=b\r\n\r\n"),
    "gzip as a transfer": in_chunks(PACKED, b"Transfer-Encoding: gzip"),
    "an expectation": command(b"{}", b"Expect: the-worst"),
    "a call id": read(b"/nope", b"X-Request-Id: ada.1"),
    "no host": Odd("query", b"GET /projects HTTP/1.1\r\n\r\n"),
    "HTTP/1.0": Odd("query", b"GET /projects HTTP/1.0\r\nHost: localhost\r\n\r\n"),
    "a folded header": read(b"/projects", b"X-A: a\r\n b"),
    "bare line feeds": Odd("query", b"GET /projects HTTP/1.1\nHost: localhost\n\n"),
    "a length with a sign": read(b"/projects", b"Content-Length: +2", body=b"{}"),
    "a length and chunks": in_chunks(b"{}", b"Content-Length: 2"),
    "a method in small letters": read(b"/projects", method=b"get"),
}


@pytest.fixture
async def addresses(database_url: str) -> AsyncIterator[Addresses]:
    query = create_query(Settings(database_url=database_url))
    command = create_command(CommandSettings(database_url=database_url, nats_url="nats://127.0.0.1:1"))
    async with one_address(query, command) as found:
        yield found


def told(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in answer.headers.items() if name not in OF_THE_CALL}
    return answer.status, headers, answer.body


async def test_an_odd_request_gets_the_same_answer_as_at_the_services_own_port(addresses: Addresses) -> None:
    wrong = []
    for name, odd in ODD.items():
        bodiless = odd.data.startswith(b"HEAD")
        own = await asked(getattr(addresses, odd.service), odd.data, bodiless=bodiless)
        for where in ("handed", "passed"):
            answer = await asked(getattr(addresses, where), odd.data, bodiless=bodiless)
            if told(answer) != told(own) and not (where == "passed" and name in OF_THE_PARSER):
                wrong.append((name, where, told(own)[:2], told(answer)[:2]))
            assert 400 <= answer.status < 500 or own.status < 400
    assert wrong == []
    packed = await asked(addresses.handed, ODD["gzip"].data)
    assert (packed.status, packed.problem["code"]) == (415, "unsupported_encoding")
