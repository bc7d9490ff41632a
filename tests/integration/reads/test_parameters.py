"""Bad parameters and unknown names: the answer names the field."""

import pytest

from tests.support.seeded import AVAILABLE, Client


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/available/select?range=2086-01-01,2086-01-02", "project"),
        (AVAILABLE + "&clusterid=gaia.spark", "clusterid"),
        ("/available/select?project=gaia", "range"),
        ("/available/select?project=gaia&range=2086-01-01", "range"),
        ("/available/select?project=gaia&range=2086-01-02,2086-01-01T00:00Z", "range"),
        ("/available/select?project=gaia&range=2086-01-01,2041-01-01", "range"),
        (AVAILABLE + "&grain=year", "grain"),
        (AVAILABLE + "&grain=0h", "grain"),
        (AVAILABLE + "&tz=Mars/Olympus", "tz"),
        (AVAILABLE + "&tz=Asia/Kolkata", "tz"),
        (AVAILABLE + "&dimensions=cpus", "dimensions"),
        (AVAILABLE + "&dimensions=", "dimensions"),
        (AVAILABLE + "&values=free", "values"),
        (AVAILABLE + "&shape=rows", "shape"),
        (AVAILABLE + "&min_position=-1", "min_position"),
        (AVAILABLE + "&min_position=9223372036854775808", "min_position"),
        (AVAILABLE + "&min_position=soon", "min_position"),
        (AVAILABLE + "&colour=red", "colour"),
        (AVAILABLE + "&limit=5", "limit"),
        (AVAILABLE + "&grain=day&grain=hour", "grain"),
        (AVAILABLE + "&project=other", "project"),
        ("/bookings/select?project=gaia&range=2086-01-01,2086-01-02&limit=0", "limit"),
        ("/bookings/select?project=gaia&range=2086-01-01,2086-01-02&limit=10001", "limit"),
        ("/bookings/select?project=gaia&range=2086-01-01,2086-01-02&after=x", "after"),
        ("/resources/select?project=gaia&range=2086-01-01,2086-01-02&after=%00", "after"),
        ("/clusters/gaia.spark/sizes?values=granted", "values"),
        ("/pools?after=%00", "after"),
        ("/projects?limit=x", "limit"),
        ("/events?after=-1", "after"),
        ("/events?after=9223372036854775808", "after"),
        ("/events?limit=10001", "limit"),
        ("/events?min_position=1", "min_position"),
        ("/events/1?after=1", "after"),
    ],
)
async def test_a_bad_parameter_is_named(client: Client, path: str, field: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json().get("code")) == (400, "invalid_field"), answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    "path",
    [
        "/available/select?project=gaia&range=2086-01-01T00:00:00+00:00,2086-01-02T00:00:00Z",
        "/available/select?project=gaia&range=2086-01-01T00:00:00Z,2086-01-02T00:00:00+0100",
        "/available/select?project=gaia&range=2086-01-01,2086-01-02&as_of=2026-01-01T00:00:00+00:00",
        "/available/select?project=gaia&range=2086-01-01,2086-01-02&tz=Etc/GMT+5",
        "/events?since=2026-01-01T00:00:00+00:00",
        "/events?until=2026-01-01T00:00:00.5+01:00",
        "/refusals?since=2026-01-01T00:00:00+00:00",
    ],
)
async def test_a_plus_that_is_not_encoded_is_told_how_to_be(client: Client, path: str) -> None:
    refused = await client.get(path)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_field"), refused.text
    assert "%2B" in refused.json()["detail"]
    assert (await client.get(path.replace("+", "%2B"))).json().get("code") != "invalid_field"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/available/select?project=none&range=2086-01-01,2086-01-02", "project"),
        ("/available/select?project=gaia.spark&range=2086-01-01,2086-01-02", "project"),
        ("/available/select?project=%00&range=2086-01-01,2086-01-02", "project"),
        ("/available/select?clusterid=gaia&range=2086-01-01,2086-01-02", "clusterid"),
        ("/available/select?clusterid=gaia.none&range=2086-01-01,2086-01-02", "clusterid"),
        ("/resources/select?project=none&range=2086-01-01,2086-01-02", "project"),
        ("/bookings/select?project=none&range=2086-01-01,2086-01-02", "project"),
        ("/clusters/gaia.none/sizes", "id"),
        ("/clusters/gaia.none/sizes?range=2086-01-01,2086-01-02", "id"),
        ("/clusters/gaia/sizes", "id"),
        ("/events?project=None", "project"),
    ],
)
async def test_what_is_not_there_is_404(client: Client, path: str, field: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_id"), answer.text
    assert answer.json()["errors"][0]["field"] == field
    for etag in ('"x"', "*"):
        assert (await client.get(path, headers={"If-None-Match": etag})).status_code == 404
