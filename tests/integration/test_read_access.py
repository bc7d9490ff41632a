"""The check of a read comes before its cache, and is as fresh as its answer."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from services.command.domain import RevokeRole
from services.query.questions.sight import Sight, sight_of
from services.query.views import search
from shared.event_store import EventStore
from shared.identity.roles import Limit
from tests.support.backends import connected
from tests.support.marked import CLUSTERS, PROJECTS, Marked, marked
from tests.support.querying import append_and_show
from tests.support.signed_in import ADMIN, signed_in, with_token

RANGE = "range=2086-01-01,2086-01-05"
ASKED = (
    f"/available/select?project=gaia&{RANGE}",
    f"/bookings/load?project=gaia&{RANGE}",
    f"/bookings/select?project=gaia&{RANGE}",
    f"/conflicts/select?project=gaia&{RANGE}",
    "/templates?project=gaia",
    "/accounts?project=gaia",
    "/novaquota/{grant_gaia}",
    "/magcluster/gaia.spark",
    f"/magcluster/sizes?project=gaia&{RANGE}",
    f"/accounts/zz-gaia-account/usage?project=gaia&{RANGE}",
    "/projects/gaia.ics",
    "/events/{at_gaia}",
)


@pytest.fixture
async def ground(database_url: str, tmp_path: Path) -> AsyncIterator[Marked]:
    async with marked(database_url, tmp_path) as ground:
        yield ground


async def show_more(ground: Marked) -> int:
    """Shows the events that were decided since. Returns the last position."""
    async with connected(ground.database_url) as connection:
        await append_and_show(connection, ground.events[await EventStore(connection).head() :])
    return len(ground.events)


@pytest.mark.parametrize("path", ASKED)
async def test_an_answer_in_the_cache_and_its_etag_are_for_nobody_who_may_not_see_it(ground: Marked, path: str) -> None:
    asked, admin = ground.path(path), await signed_in(ground.database_url, ADMIN)
    stranger = await signed_in(ground.database_url, "egi:admin-beta")
    for _ in range(2):
        seen = await ground.client.get(asked, headers=admin)
        assert seen.status_code == 200
    for etag in (seen.headers.get("etag", "*"), "*", 'W/"1-1-0"'):
        for method in ("GET", "HEAD"):
            hidden = await ground.client.request(method, asked, headers={**stranger, "If-None-Match": etag})
            assert hidden.status_code == 404
            assert not {"etag", "hourbook-position", "hourbook-next", "allow"} & set(hidden.headers)
    assert (await ground.client.get(asked, headers=admin)).status_code == 200


async def test_a_role_that_was_revoked_is_gone_for_whoever_waits_for_that_position(ground: Marked) -> None:
    reader = await signed_in(ground.database_url, "egi:reader-gaia")
    for path in map(ground.path, ASKED):
        assert (await ground.client.get(path, headers=reader)).status_code == 200
    ground.do("gaia", RevokeRole(pool="gaia", role="reader", member="egi:reader-gaia"))
    last = await show_more(ground)
    for path in map(ground.path, ASKED):
        waits = "" if "/events/" in path else f"{'&' if '?' in path else '?'}min_position={last}"
        assert (await ground.client.get(path + waits, headers=reader)).status_code == 404, path
        then = "" if "/events/" in path else f"{'&' if '?' in path else '?'}as_of=60"
        assert (await ground.client.get(path + then, headers=reader)).status_code == 404, path


async def test_names_are_part_of_the_question_where_a_viewer_sees_the_rest(ground: Marked) -> None:
    answers = {}
    for role in ("reader", "viewer", "reader"):
        headers = await signed_in(ground.database_url, f"egi:{role}-gaia")
        for accept in ("application/json", "text/csv"):
            answer = await ground.client.get("/templates?project=gaia", headers={**headers, "Accept": accept})
            answers[role, accept] = answer
            assert ("zz" in answer.text) == (role == "reader")
    assert answers["reader", "text/csv"].headers["etag"] != answers["viewer", "text/csv"].headers["etag"]
    assert answers["viewer", "application/json"].json()["templates"][0]["actor"] is None


async def test_a_token_reads_no_more_than_its_limits_and_its_maker(ground: Marked) -> None:
    path = f"/available/select?project=gaia&{RANGE}"
    url = ground.database_url
    narrow = await with_token(url, Limit("reader", "gaia.spark"), maker="egi:admin-gaia")
    other = await with_token(url, Limit("reader", "beta"), maker="egi:admin-gaia")
    operator = await with_token(url, Limit("viewer", "gaia"))
    await signed_in(url, "egi:admin-gaia")
    for headers, status in ((narrow, 404), (other, 404), (operator, 200)):
        assert (await ground.client.get(path, headers=headers)).status_code == status
    assert (await ground.client.get(f"/bookings/select?project=gaia&{RANGE}", headers=operator)).status_code == 403
    pools = (await ground.client.get("/pools", headers=narrow)).json()["pools"]
    assert [pool["id"] for pool in pools] == ["gaia.spark", "gaia.spark.deep"]
    assert (await ground.client.get("/pools", headers=other)).json()["pools"] == []


async def every_page(client: httpx.AsyncClient, path: str, what: str, headers: dict[str, str]) -> list[Any]:
    """The items of all pages."""
    found, after = [], None
    while True:
        answer = (await client.get(path + ("" if after is None else f"&after={after}"), headers=headers)).json()
        found += answer[what]
        if (after := answer["next"]) is None:
            return found


def about(event: dict[str, Any]) -> str:
    return str(event.get("pool") or event.get("cluster") or event["project"])


@pytest.mark.parametrize(("indexed", "few"), [(0, 1000), (30, 1000), (30, 0), (10_000, 1000), (10_000, 0)])
async def test_the_pages_of_a_list_are_what_may_be_seen_without_a_gap(
    ground: Marked, monkeypatch: pytest.MonkeyPatch, indexed: int, few: int
) -> None:
    """Compared with a filter of all events. Some events are in the index, the others are not yet. `few` are so many
    that those of one key are looked through."""
    monkeypatch.setattr(search, "COUNTED_MAX", few)
    connection = await asyncpg.connect(ground.database_url)
    await connection.execute("TRUNCATE event_index")
    await connection.execute("UPDATE event_index_head SET position = 0")
    await connection.execute("SELECT index_events($1)", indexed)
    await connection.close()
    admin, chance = await signed_in(ground.database_url, ADMIN), random.Random(indexed)
    everything = await every_page(ground.client, "/events?limit=1000", "events", admin)
    assert [one["position"] for one in everything] == list(range(1, len(ground.events) + 1))
    pools = (await ground.client.get("/pools", headers=admin)).json()["pools"]
    for number in range(8):
        roots = sight_of(chance.sample([*PROJECTS, *CLUSTERS], chance.randint(1, 3)))
        limits = [Limit("reader", root) for root in roots.roots]
        headers = await with_token(ground.database_url, *limits)
        for narrowed, matches in FILTERS:
            path = f"/events?limit={chance.randint(1, 9)}{narrowed}"
            pages = await every_page(ground.client, path, "events", headers)
            right = [one for one in everything if roots.has(about(one["event"])) and matches(one["event"])]
            assert pages == right, (number, roots, path)
        lines = await ground.client.get("/events", headers={**headers, "Accept": "application/x-ndjson"})
        assert lines.text.count("\n") == sum(roots.has(about(one["event"])) for one in everything)
        seen = await every_page(ground.client, "/pools?limit=2", "pools", headers)
        assert seen == [pool for pool in pools if roots.has(pool["id"])]


FILTERS: tuple[tuple[str, Any], ...] = (
    ("", bool),
    ("&type=BookingCreated", lambda event: event["type"] == "BookingCreated"),
    ("&type=RoleGranted,ClusterCreated", lambda event: event["type"] in ("RoleGranted", "ClusterCreated")),
    ("&actor=zz-gaia.spark-actor", lambda event: event["actor"] == "zz-gaia.spark-actor"),
    ("&since=2025-12-01T00:00:50Z", lambda event: event["at"] >= "2025-12-01T00:00:50Z"),
)


def test_no_root_of_a_sight_lies_in_another_one() -> None:
    assert sight_of(["gaia.spark", "gaia", "gaia2.x", "beta.a.b", "beta.a"]) == Sight(
        roots=("beta.a", "gaia", "gaia2.x")
    )
    sight = Sight(roots=("beta.a", "gaia"))
    assert all(sight.has(pool) for pool in ("gaia", "gaia.x", "beta.a", "beta.a.c"))
    assert not any(sight.has(pool) for pool in ("gaia2", "beta", "beta.ab", ""))
    assert sight.inside("beta") == Sight(roots=("beta.a",))
    assert not sight.inside("gaia2")


@pytest.mark.parametrize(
    ("who", "pools"),
    [
        ("egi:reader-gaia", ["gaia", "gaia.spark", "gaia.spark.deep", "gaia.spark2"]),
        ("egi:reader-gaia.spark", ["gaia.spark", "gaia.spark.deep"]),
        ("egi:reader-gaia.spark.deep", ["gaia.spark.deep"]),
        ("egi:reader-ledger", ["gaia", "gaia.spark", "gaia.spark.deep", "gaia.spark2"]),
    ],
)
async def test_a_tree_shows_the_pools_that_one_may_see_whoever_asked_before(
    ground: Marked, who: str, pools: list[str]
) -> None:
    for asks in (ADMIN, who):
        headers = await signed_in(ground.database_url, asks)
        tree = f"project=gaia&{RANGE}"
        matrix = (await ground.client.get(f"/available/matrix?{tree}", headers=headers)).json()
        slots = (
            await ground.client.get(f"/available/slots?{tree}&tree=true&cores=1&duration=1h", headers=headers)
        ).json()
        bookings = (await ground.client.get(f"/bookings/select?{tree}&tree=true", headers=headers)).json()
    assert [row["pool"] for row in matrix["rows"]] == pools
    assert sorted(pool["pool"] for pool in slots["pools"]) == pools
    assert sorted({item["pool"] for item in bookings["items"]}) == pools
    assert {item["account"] for item in bookings["items"]} == {f"zz-{pool}-account" for pool in pools}
