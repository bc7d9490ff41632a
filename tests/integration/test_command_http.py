"""Commands over HTTP, to the application on a real PostgreSQL."""

import codecs
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from services.command.app import create_app
from services.command.settings import Settings
from tests.support.backends import as_role

MONTH = {"startdate": "2086-01-01", "enddate": "2086-01-31"}


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[AsyncTestClient[Any]]:
    async with AsyncTestClient(create_app(Settings(database_url=as_role(database_url, "command")))) as client:
        assert (await client.post("/projects/create", json={"id": "gaia", "name": "Gaia"})).status_code == 201
        yield client


async def test_a_grant_a_booking_and_its_cancel(client: AsyncTestClient[Any]) -> None:
    grant = await client.post("/resources/create", json={"project": "gaia", "cores": 10, **MONTH})
    assert (grant.status_code, grant.json()["position"], grant.json()["version"]) == (201, 2, 2)
    body = {"project": "gaia", "account": "ada", "cores": 10, **MONTH}
    booking = await client.post("/bookings/create", json=body, headers={"X-Hourbook-Actor": "ada"})
    decided = booking.json()["decided"][0]
    assert (decided["type"], decided["actor"], decided["start"]) == ("BookingCreated", "ada", "2086-01-01T00:00:00Z")
    assert decided["end"] == "2086-02-01T00:00:00Z"
    refusal = await client.post("/bookings/create", json=body)
    assert (refusal.status_code, refusal.json()["code"]) == (409, "capacity_exceeded")
    assert refusal.headers["content-type"].startswith("application/problem+json")
    assert refusal.json()["shortages"] == [
        {
            "start": "2086-01-01T00:00:00Z",
            "end": "2086-02-01T00:00:00Z",
            "dimension": "cores",
            "asked": 10,
            "available": 0,
        }
    ]
    withdrawal = await client.post(f"/resources/{grant.json()['id']}/withdraw", json={})
    assert withdrawal.status_code == 409
    cancel = await client.post(f"/bookings/{booking.json()['id']}/cancel", json={"reason": "no longer needed"})
    assert (cancel.status_code, cancel.json()["decided"][0]["reason"]) == (201, "no longer needed")
    assert (await client.post(f"/resources/{grant.json()['id']}/withdraw", json={})).status_code == 201


async def test_a_cluster_is_created_resized_and_ended(client: AsyncTestClient[Any]) -> None:
    await client.post("/resources/create", json={"project": "gaia", "cores": 10, **MONTH})
    cluster = await client.post("/clusters/create", json={"parent": "gaia", "name": "spark", "cores": 6, **MONTH})
    assert (cluster.status_code, cluster.json()["id"]) == (201, "gaia.spark")
    assert (await client.post("/clusters/gaia.spark/resize", json={"cores": 10})).status_code == 201
    assert (await client.post("/clusters/gaia.spark/resize", json={"cores": 10})).status_code == 200
    assert (await client.post("/clusters/gaia.spark/resize", json={"cores": 11})).json()["code"] == "capacity_exceeded"
    assert (await client.post("/clusters/gaia.spark/resize", json={})).status_code == 201


async def test_an_actor_has_a_name_in_any_script_and_no_control_character(client: AsyncTestClient[Any]) -> None:
    async def actor_of(name: bytes) -> Any:
        answer = await client.post("/resources/create", json=GRANT, headers=[(b"X-Hourbook-Actor", name)])
        return (
            answer.json()["decided"][0]["actor"] if answer.status_code == 201 else answer.json()["errors"][0]["field"]
        )

    assert await actor_of("Zoë 李".encode()) == "Zoë 李"
    assert await actor_of("Zoë".encode("latin-1")) == "Zoë"
    for name in (b"a\x00b", b"\x1b[2J", b"", b"x" * 201):
        assert await actor_of(name) == "X-Hourbook-Actor"


async def test_an_idempotent_repeat_is_200_with_the_first_answer(client: AsyncTestClient[Any]) -> None:
    body, key = {"project": "gaia", "cores": 10, **MONTH}, {"Idempotency-Key": "one"}
    first, again = [await client.post("/resources/create", json=body, headers=key) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = await client.post("/resources/create", json=body | {"cores": 9}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


GRANT = {"project": "gaia", "cores": 1, **MONTH}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (GRANT | {"cores": -1}, "cores"),
        (GRANT | {"cores": 10**30}, "cores"),
        (GRANT | {"cores": "one"}, "cores"),
        (GRANT | {"cpus": 1}, "cpus"),
        (GRANT | {"startdate": "2086-01-01T00:00"}, "startdate"),
        (GRANT | {"startdate": "2086-01-01T00:30Z"}, "startdate"),
        (GRANT | {"enddate": "2085-01-01"}, "enddate"),
        (GRANT | {"startdate": "2001-01-01", "enddate": "2099-12-01"}, "enddate"),
        (GRANT | {"tz": "Asia/Kolkata"}, "tz"),
        (GRANT | {"tz": "Nowhere"}, "tz"),
        (GRANT | {"project": "No Slug"}, "project"),
        (GRANT | {"cores": 0}, "capacity"),
        ({"project": "gaia", "cores": 1, "startdate": "2086-01-01"}, "enddate"),
    ],
)
async def test_bad_input_names_its_field_and_changes_nothing(
    client: AsyncTestClient[Any], body: dict[str, Any], field: str
) -> None:
    answer = await client.post("/resources/create", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field"), answer.text
    assert field in answer.json()["detail"]
    assert (await client.post("/resources/create", json=GRANT)).json()["position"] == 2


async def test_every_bad_field_is_named(client: AsyncTestClient[Any]) -> None:
    answer = await client.post("/resources/create", json={"cores": -1, "memory": "x", "cpus": 1, "project": "gaia"})
    assert answer.status_code == 400
    named = {error["field"] for error in answer.json()["errors"]}
    assert named == {"cores", "memory", "cpus", "startdate", "enddate"}


async def test_a_cancel_and_a_withdrawal_need_no_body(client: AsyncTestClient[Any]) -> None:
    grant = (await client.post("/resources/create", json=GRANT)).json()["id"]
    booking = (await client.post("/bookings/create", json=GRANT | {"account": "ada"})).json()["id"]
    assert (await client.post(f"/bookings/{booking}/cancel")).status_code == 201
    assert (await client.post(f"/resources/{grant}/withdraw")).status_code == 201


async def test_a_policy_that_is_not_known_is_refused(client: AsyncTestClient[Any]) -> None:
    answer = await client.post("/projects/create", json={"id": "two", "name": "Two", "overcommit": "always"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "overcommit")


async def test_bodies_that_are_no_json_or_too_large_are_refused(client: AsyncTestClient[Any]) -> None:
    for body, status in ((b"\xff\xfe{", 400), (b"{", 400), (b"x" * 10_000_000, 413)):
        answer = await client.post("/resources/create", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("application/problem+json")


async def test_a_body_is_taken_as_it_is_written_or_not_at_all(client: AsyncTestClient[Any]) -> None:
    async def answer(body: bytes) -> tuple[int, str]:
        got = await client.post("/resources/create", content=body, headers={"Content-Type": "application/json"})
        return got.status_code, got.json()["errors"][0]["field"] if got.status_code == 400 else ""

    body = json.dumps(GRANT).encode()
    assert await answer(codecs.BOM_UTF8 + body) == (201, "")
    for cores in (b'"1"', b"1e3", b"1.0"):
        assert await answer(body.replace(b'"cores": 1', b'"cores": ' + cores)) == (400, "cores")
    assert await answer(body.replace(b'"cores": 1', b'"cores": 1, "cores": 1')) == (400, "cores")
    assert await answer(json.dumps(GRANT).encode("utf-16")) == (400, "body")
    assert await answer(b"[]") == (400, "body")
    assert await answer(b"") == (400, "body")
    assert (await client.post("/resources/create", json=GRANT)).json()["position"] == 3


async def test_unknown_ids_are_404(client: AsyncTestClient[Any]) -> None:
    nobody = "01890000-0000-7000-8000-000000000000"
    for path, body in (
        (f"/bookings/{nobody}/cancel", {}),
        (f"/resources/{nobody}/withdraw", {}),
        ("/clusters/gaia.none/resize", {"cores": 1}),
        ("/resources/create", GRANT | {"project": "none"}),
    ):
        answer = await client.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_id"), answer.text
