"""The hash of a request, which is stored with its idempotency key. A release that gave another hash would refuse every
repeat of an older request: so the hashes here never change, and a body's fields keep their order and their defaults."""

from typing import Any

import pytest
from litestar import Request

from services.command.routes.bodies import read_body
from services.command.routes.headers import key_of
from services.command.routes.requests import (
    AccountRequest,
    AmendRequest,
    AmendSeriesRequest,
    BookingRequest,
    ClusterRequest,
    MagnumRequest,
)
from services.command.routes.webhooks import WebhookRequest

BOOKING = (
    b'{"project":"gaia","account":"ada","startdate":"2030-06-01T00:00Z","enddate":"2030-06-02","cores":2,'
    b'"share":"50%","reason":"x"}'
)
MAGNUM = (
    b'{"parent":"gaia","startdate":"2030-06-01","enddate":"2030-06-02","masterflavor":"m","mastercount":1,'
    b'"workerflavor":"w","workercount":2}'
)
CLUSTER = b'{"parent":"gaia","startdate":"2030-06-01","enddate":"2030-06-02","overcommit":{"beyond_hours":5}}'


def request_to(path: str) -> Request[Any, Any, Any]:
    return Request(
        {
            "type": "http",
            "path": path,
            "query_string": b"",
            "server": ("127.0.0.1", 80),
            "scheme": "http",
            "root_path": "",
            "headers": [(b"idempotency-key", b"k-1")],
        }  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("path", "kind", "body", "expected"),
    [
        ("/bookings/create", BookingRequest, BOOKING, "ea4073fc0e8beb2cd65dd7f55b8cbbc5"),
        (
            "/bookings/2c1b/amend",
            AmendRequest,
            b'{"enddate":"2030-06-02","cores":0,"tz":"UTC"}',
            "a9b52d9ed001c2ac3f42499d317374e4",
        ),
        (
            "/bookings/series/2c1b/amend",
            AmendSeriesRequest,
            b'{"from":"2030-06-02","template":"m1.small","count":3}',
            "0b4ec0a460804b1d825752f6ef5bf42e",
        ),
        ("/clusters/create", ClusterRequest, CLUSTER, "530996dba44a052131fbbd4564143d1c"),
        (
            "/accounts/create",
            AccountRequest,
            b'{"project":"gaia","account":"Jose\xcc\x81","limits":{"capacity":{"cores":4}}}',
            "a2f0d7d277b9d99ffc371424ecc3f701",
        ),
        ("/magcluster/create", MagnumRequest, MAGNUM, "427ac097e3a55e22a837d0bff36d5839"),
        (
            "/webhooks",
            WebhookRequest,
            b'{"url":"https://a.example/","types":["BookingCreated"]}',
            "31911c1fa89cfb33e5fc73e5eb1ad26f",
        ),
    ],
)
def test_a_request_has_the_hash_that_stored_keys_have(path: str, kind: Any, body: bytes, expected: str) -> None:
    key = key_of(request_to(path), "ada", read_body(body, kind))
    assert key is not None
    assert str(key.id) == "baa1b220-9b4f-57c5-ac1a-df5e8bf46366"
    assert key.request_hash.hex() == expected
