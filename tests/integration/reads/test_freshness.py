"""How fresh an answer is: ETags, remembered answers, generations, min_position."""

import asyncio

import asyncpg
import msgspec
import pytest

from services.cli.up.embedded import free_port
from services.query.answers.answers import Answers, ViewResult, wide_reads
from services.query.answers.cache import AnswerCache, CacheEntry, Scope, Version
from services.query.answers.freshness import Freshness, Positions
from services.query.database import Database as Reads
from services.query.settings import Settings
from shared.errors import UnknownId
from tests.support.backends import as_role
from tests.support.querying import serving
from tests.support.seeded import EXAMPLE, GAIA, OTHER, SPARK, Client, Database, add_hours, cores, select, touch


@pytest.mark.usefixtures("example")
async def test_an_etag_stands_while_the_pool_is_not_touched(client: Client, database: Database) -> None:
    query = {"project": "gaia", **EXAMPLE}
    first = await client.get("/available/select", params=query)
    etag = first.headers["ETag"]
    assert etag.startswith('W/"')
    await touch(database, 8, OTHER)
    for given in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        again = await client.get("/available/select", params=query, headers={"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
        assert again.headers["Hourbook-Position"] == "8"
    assert (await client.get("/available/select", params=query, headers={"If-None-Match": '"x"'})).status_code == 200
    spelt_otherwise = query | {"grain": "daily", "values": "available,shared,booked,granted", "tz": "UTC"}
    assert (await client.get("/available/select", params=spelt_otherwise)).headers["ETag"] == etag
    narrower = await client.get("/available/select", params=query | {"values": "available"})
    table = await client.get("/available/select", params=query, headers={"Accept": "text/csv"})
    assert len({etag, narrower.headers["ETag"], table.headers["ETag"]}) == 3

    await database.execute("UPDATE availability_hour SET booked_cores = 3")
    await touch(database, 9)
    changed = await client.get("/available/select", params=query, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag
    assert cores(changed.json()["blocks"], "max") == [1]


@pytest.mark.usefixtures("example")
async def test_a_remembered_answer_shows_the_position_of_now(client: Client, database: Database) -> None:
    first = await select(client, **EXAMPLE)
    await touch(database, 8, OTHER)
    assert await select(client, **EXAMPLE) == first | {"position": 8}
    await database.execute("UPDATE availability_hour SET booked_cores = 3")
    await touch(database, 9)
    changed = await select(client, **EXAMPLE)
    assert (changed["position"], cores(changed["blocks"], "max")) == (9, [1])


@pytest.mark.usefixtures("example")
async def test_another_generation_is_another_answer(client: Client, database: Database) -> None:
    first = await client.get("/available/select", params={"project": "gaia", **EXAMPLE})
    async with database.transaction():
        assert await database.fetchval("SELECT create_generation()") == 2
        await database.execute(
            "INSERT INTO pool SELECT 2, pool, id, parent, project, name, kind, starts, ends, touched, NULL, false, 0"
            " FROM pool"
        )
        await database.execute("UPDATE generation SET live = false WHERE generation = 1")
        await database.execute("UPDATE generation SET live = true, position = 7 WHERE generation = 2")
    second = await client.get("/available/select", params={"project": "gaia", **EXAMPLE})
    assert cores(second.json()["blocks"], "max") == [0]
    assert first.headers["ETag"] != second.headers["ETag"]


async def test_who_asks_during_a_read_is_answered_with_what_was_there_then(
    client: Client, database: Database, seeded_url: str
) -> None:
    query = {"project": "gaia", **EXAMPLE}
    blocker = await asyncpg.connect(seeded_url)
    async with blocker.transaction():
        await blocker.execute("LOCK TABLE availability_hour_1")
        first = asyncio.create_task(client.get("/available/select", params=query))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while await database.fetchval(waiting) == 0:
            await asyncio.sleep(0.005)
        await touch(database, 8)
        later = [asyncio.create_task(client.get("/available/select", params=query)) for _ in range(5)]
        assert [await database.fetchval(waiting) for _ in range(20)] == [1] * 20
    await blocker.close()
    assert (await first).status_code == 200
    assert [(await answer).json()["position"] for answer in later] == [8] * 5


async def test_many_at_once_each_get_their_own_answer(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2086-01-01T00", [4])
    await add_hours(database, SPARK, "2086-01-01T00", [2])
    for _ in range(2):
        asked = [{"project": "gaia"}, {"clusterid": "gaia.spark"}, {"project": "other"}, {"project": "none"}] * 10
        answers = await asyncio.gather(
            *(client.get("/available/select", params=one | {"range": "2086-01-01,2086-01-01"}) for one in asked)
        )
        found = [cores(a.json()["blocks"], "max")[0] if a.status_code == 200 else a.status_code for a in answers]
        assert found == [4, 2, 0, 404] * 10


@pytest.mark.parametrize(
    "path",
    ["/available/select", "/resources/select", "/bookings/select", "/clusters/gaia.spark/sizes", "/pools", "/projects"],
)
async def test_min_position_waits_until_it_is_visible(client: Client, database: Database, path: str) -> None:
    query = {"range": "2086-01-01,2086-01-01"} if "/s" in path else {}
    if path.endswith("select"):
        query["project"] = "gaia"
    await database.execute("UPDATE event_head SET position = 9")
    waiting = [asyncio.create_task(client.get(path, params=query | {"min_position": n})) for n in (9, 8, 9)]
    seen = await client.get(path, params=query | {"min_position": 7})
    assert (seen.status_code, seen.json()["position"]) == (200, 7)
    await add_hours(database, GAIA, "2086-01-01T00", [4])
    await touch(database, 9)
    for answer in await asyncio.gather(*waiting):
        assert (answer.status_code, answer.json()["position"]) == (200, 9), answer.text
    if path == "/available/select":
        assert cores(answer.json()["blocks"], "max") == [4]


@pytest.mark.usefixtures("example")
async def test_min_position_waits_no_longer_than_it_may(client: Client, database: Database) -> None:
    await database.execute("UPDATE event_head SET position = 9")
    answer = await client.get("/available/select", params={"project": "gaia", "min_position": 9, **EXAMPLE})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["position"]) == (503, "not_yet_visible", 7)
    assert answer.headers["Retry-After"] == "1"
    await touch(database, 9)
    assert (await select(client, min_position=9, **EXAMPLE))["position"] == 9


async def test_a_generation_that_is_behind_the_one_before_is_waited_for(client: Client, database: Database) -> None:
    assert (await select(client, min_position=7, **EXAMPLE))["position"] == 7
    await database.execute("UPDATE generation SET position = 5")
    answer = await client.get("/available/select", params={"project": "gaia", "min_position": 7, **EXAMPLE})
    assert (answer.status_code, answer.json()["position"]) == (503, 5)


async def test_a_position_beyond_the_last_event_is_refused_at_once(client: Client) -> None:
    answer = await client.get("/available/select", params={"project": "gaia", "min_position": 8, **EXAMPLE})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "min_position"), answer.text


@pytest.mark.usefixtures("example")
async def test_in_another_term_nothing_is_answered_from_memory(client: Client, database: Database) -> None:
    """The store may have lost events then, and others may have their positions: an answer at the same position may be
    another one."""
    query = {"project": "gaia", **EXAMPLE}
    first = await client.get("/available/select", params=query)
    await database.execute("UPDATE availability_hour SET booked_cores = 3")
    again = await client.get("/available/select", params=query)
    assert (again.content, again.headers["ETag"]) == (first.content, first.headers["ETag"])
    await database.execute("UPDATE store_term SET term = gen_random_uuid()")
    other = await client.get("/available/select", params=query, headers={"If-None-Match": first.headers["ETag"]})
    assert (other.status_code, cores(other.json()["blocks"], "max")) == (200, [1])


class Asked(msgspec.Struct, frozen=True):
    csv: bool = False
    hours: None = None
    scope: Scope = Scope("all")

    def unknown(self) -> UnknownId:
        return UnknownId("id", "scope", "all")


async def test_a_read_that_another_term_overtakes_is_read_again(database: Database, seeded_url: str) -> None:
    """It began on the old primary, and what it has read may be lost."""
    reads = Reads(as_role(seeded_url, "query"), 2)
    freshness, read, cache = Freshness(reads), [asyncio.Event(), asyncio.Event()], AnswerCache(10_000)
    answers = Answers(reads, freshness, Positions(reads, 1), cache, wide_reads())
    freshness.on_new_term(cache.forget)
    texts = [b"lost", b"there"]

    async def view(*_: object) -> ViewResult:
        read[0].set()
        text = texts.pop(0)
        await read[1].wait()
        return ViewResult(7, CacheEntry(Version(1, 7), text, None))

    async with reads.opened():
        asked = asyncio.create_task(answers.answer(Asked(), view, None, 0))
        await read[0].wait()
        await database.execute("UPDATE store_term SET term = gen_random_uuid()")
        await freshness.of(Scope("all"))
        read[1].set()
        first, second = await asked, await answers.answer(Asked(), view, None, 0)
    assert (first.body, second.body) == (b"there", b"there")
    assert texts == []


async def test_with_several_hosts_a_position_beyond_the_end_is_waited_for(seeded_url: str) -> None:
    """The host may be an older primary, just before it is left: nobody can say that there is no such event."""
    login, _, host = as_role(seeded_url, "query").rpartition("@")
    url = f"{login}@127.0.0.1:{free_port()},{host}"
    async with serving(Settings(database_url=url, visible_timeout_s=0.3)) as client:
        answer = await client.get("/available/select", params={"project": "gaia", **EXAMPLE, "min_position": 8})
        assert (answer.status_code, answer.json()["code"]) == (503, "not_yet_visible")
