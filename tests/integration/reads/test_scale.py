"""A read costs what it shows: not what the history has, nor what other projects have."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.notify import schedule
from services.query.views import accounts, feeds, items, load, openstack, pools, tree, tree_bookings
from shared.hours import instant_of
from tests.support.plans import rows_read
from tests.support.seeded import GAIA, SPARK, Client, Database, select

FROM, UNTIL = datetime(2080, 1, 1, tzinfo=UTC), datetime(2087, 1, 1, tzinfo=UTC)
HISTORY, PROJECTS, CLUSTERS = 20_000, 500, 300
MONTH = datetime(2081, 3, 1, tzinfo=UTC), datetime(2081, 4, 1, tzinfo=UTC)
OF_A_MONTH = HISTORY * 63 // (7 * 365)  # and of the month after it, through which the index goes
HISTORY_OF_BOOKINGS = """
INSERT INTO live_booking SELECT 1, gen_random_uuid(), $1, starts, starts + hours * interval '1 hour', 0, 1, 0, 0, 0, 0,
    'ada', 'ada', 0, false, 1, 1, 0
FROM (
    SELECT $2::timestamptz + ($3::timestamptz - $2::timestamptz) * n / $4 AS at, 1 + (n % 72) AS hours
    FROM generate_series(1, $4::int) AS n
) x, date_trunc('hour', at) AS starts
"""
OTHERS = """
INSERT INTO pool (generation, pool, id, parent, project, name, kind, touched, claimed)
SELECT 1, 10 + n, 'p' || lpad(n::text, 5, '0'), NULL, 'p' || lpad(n::text, 5, '0'), 'Number ' || n, 'project', 7, 0
FROM generate_series(1, $1::int) AS n
"""
WIDE = """
INSERT INTO pool (generation, pool, id, parent, project, name, kind, starts, ends, touched, claimed)
SELECT 1, 10000 + 2 * n + inside, 'other.k' || n || part, 3, 'other', 'K' || n, 'magnum', $2, $3, 7, 0
FROM generate_series(1, $1::int) AS n, (VALUES (0, ''), (1, '.inner')) AS v (inside, part)
"""


@pytest.fixture
async def long(database: Database) -> Database:
    """A cluster with seven years of bookings, among many projects; and one project with many clusters."""
    await database.execute(HISTORY_OF_BOOKINGS, SPARK, FROM, UNTIL, HISTORY)
    await database.execute(OTHERS, PROJECTS)
    await database.execute(WIDE, CLUSTERS, FROM, UNTIL)
    await database.execute("ANALYZE")
    return database


async def test_bookings_of_a_month_long_ago_are_found_by_the_month(long: Database) -> None:
    first = instant_of(0), UUID(int=0), 50
    statements: dict[str, tuple[str, tuple[Any, ...]]] = {
        "a pool": (items.BOOKINGS, (1, SPARK, *MONTH, *first, None)),
        "a tree": (tree_bookings.BOOKINGS, (1, [GAIA, SPARK], *MONTH, *first, None)),
        "load": (load.COUNTED.format(key="b.account", dimension="cores"), (1, "gaia", *MONTH, None, 100)),
        "shares": (load.SHARED.format(key="b.account"), (1, "gaia", *MONTH, None)),
        "usage": (accounts.COUNTED, (1, ["ada"], *MONTH, None, None, None, None)),
    }
    for which in (feeds.COMING, feeds.OVER):
        for whose, name in (("project", "gaia"), ("cluster", "gaia.spark"), ("account", ["ada"])):
            statement = feeds.SELECT.format(whose=feeds.WHOSE[whose], limit=5000, **which)
            statements[f"feed {whose} {which['order']}"] = statement, (1, name, *MONTH, MONTH[1] + timedelta(days=900))
    read = {name: await rows_read(long, text, *arguments) for name, (text, arguments) in statements.items()}
    assert all(rows < 2 * OF_A_MONTH for rows in read.values()), read
    assert read["a tree"] > OF_A_MONTH / 3  # the measure sees the rows


async def test_notices_are_found_among_the_bookings_that_have_not_ended(long: Database) -> None:
    hour = datetime(2086, 12, 20, tzinfo=UTC)
    lead = timedelta(hours=24)
    rows = await rows_read(long, schedule.DUE, hour - timedelta(hours=1), hour, lead, mode=schedule.PLANNED)
    assert 0 < rows < HISTORY * 20 / (7 * 365) + PROJECTS + 3 * CLUSTERS + 100
    assert await rows_read(long, schedule.CONFLICTS, hour, lead, None) < 100


async def test_a_wide_tree_is_read_pool_by_pool_and_not_pool_by_pool_for_each_pool(long: Database) -> None:
    wide = 2 * CLUSTERS + 1
    assert await rows_read(long, tree.TREE, "other", "other", *MONTH) <= 3 * wide
    assert await rows_read(long, openstack.PROJECT_SIZES, "other", *MONTH) <= 5 * wide
    page = "", 21, None
    assert await rows_read(long, pools.OF_PROJECT, *page, "gaia") <= 20
    assert await rows_read(long, pools.PROJECTS, *page, None) <= PROJECTS + 10  # and no cluster


async def test_bookings_of_any_length_are_found_in_any_period(database: Database, client: Client) -> None:
    chance, day = random.Random(15), timedelta(days=1)
    start = datetime(2086, 6, 1, tzinfo=UTC)
    lengths = [1, 24, 30 * 24, 31 * 24, 31 * 24 + 1, 32 * 24, 62 * 24, 300 * 24]
    rows = []
    for number in range(120):
        starts = start + timedelta(hours=chance.randrange(-400 * 24, 400 * 24))
        rows.append((UUID(int=number + 1), starts, starts + timedelta(hours=chance.choice(lengths))))
    await database.executemany(
        """INSERT INTO live_booking VALUES
           (1, $1, 2, $2, $3, 0, 1, 0, 0, 0, 0, 'ada', 'ada', 0, false, 1, 1, 0)""",
        rows,
    )
    for days_from, days in ((0, 1), (-40, 3), (10, 31), (-390, 33), (-400, 800), (100, 62)):
        begin, end = start + day * days_from, start + day * (days_from + days)
        touching = sorted((starts, str(one)) for one, starts, ends in rows if ends > begin and starts < end)
        for query in ({"clusterid": "gaia.spark", "grain": "month"}, {"project": "gaia", "tree": "true"}):
            period = {"range": f"{iso_of(begin)},{iso_of(end)}", "limit": "7"}
            asked = query | period
            found = [item["id"] for page in await pages(client, "/bookings/select", **asked) for item in page["items"]]
            assert found == [one for _, one in touching], (days_from, days, query)
        (row, *_), names = (await select(client, "/bookings/load", range=period["range"], grain="month"))["rows"], "ada"
        assert (row["name"], row["bookings"]) == (names, len(touching))


async def pages(client: Client, path: str, **query: str) -> list[dict[str, Any]]:
    """All pages of a list."""
    found = [await select(client, path, **query)]
    while found[-1]["next"] is not None:
        found.append(await select(client, path, **query, after=found[-1]["next"]))
    return found


def iso_of(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.usefixtures("long")
async def test_projects_and_pools_are_found_by_a_part_of_their_id_or_name(client: Client) -> None:
    async def ids(path: str, **query: str) -> list[str]:
        answer = await client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()[path.strip("/")]]

    assert await ids("/projects", find="number 77") == ["p00077"]
    assert await ids("/projects", find="P0007", limit="3") == ["p00070", "p00071", "p00072"]
    assert await ids("/projects", find="P0007", limit="3", after="p00078") == ["p00079"]
    assert await ids("/pools", find="spark") == ["gaia.spark"]
    assert await ids("/pools", find="k7.inner") == ["other.k7.inner"]
    assert await ids("/pools", project="gaia", find="K7") == []
    assert await ids("/pools", find="100%_") == []
    refused = await client.get("/pools", params={"find": ""})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "find")
    assert (await client.get("/pools", params={"project": "nobody", "find": "x"})).status_code == 404


async def test_templates_and_accounts_come_in_pages(database: Database, client: Client) -> None:
    await database.execute(
        """INSERT INTO template SELECT 1, 'gaia', 't' || lpad(n::text, 3, '0'), v, 0, 1, 0, 0, 0, 0, 'ada', 1
           FROM generate_series(1, 20) AS n, generate_series(1, 3) AS v"""
    )
    await database.execute(
        """INSERT INTO account SELECT 1, 'gaia', 'a' || lpad(n::text, 3, '0'), 'A', '{}', false, 1
           FROM generate_series(1, 20) AS n"""
    )
    for path, many in (("/templates", 60), ("/accounts", 20)):
        name = path.strip("/")
        whole = (await select(client, path))[name]
        assert (len(whole), (await select(client, path))["next"]) == (many, None)
        assert [row for page in await pages(client, path, limit="7") for row in page[name]] == whole
        table = await client.get(path, params={"project": "gaia", "limit": "7"}, headers={"Accept": "text/csv"})
        assert len(table.text.splitlines()) == 8
        assert table.headers["Hourbook-Next"]
        wrong = await client.get(path, params={"project": "gaia", "after": "x"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "after")
