"""A database with rows that a test wrote itself, and reads of it: no event stands behind them."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

GAIA, SPARK, OTHER = 1, 2, 3
EXAMPLE = {"range": "2086-01-01T00:00Z,2086-01-01T08:00Z"}
AVAILABLE = "/available/select?project=gaia&range=2086-01-01,2086-01-02"
Database = asyncpg.Connection  # type: ignore[type-arg]
Client = httpx.AsyncClient


async def add_pool(database: Database, pool: int, name: str, parent: int | None) -> None:
    period = [at("2086-01-01T00"), at("2086-01-03T00")] if parent else [None, None]
    await database.execute(
        "INSERT INTO pool VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, 7, NULL, false, 0)",
        pool,
        name,
        parent,
        name.split(".")[0],
        name.title(),
        "cluster" if parent else "project",
        *period,
    )


async def add_hours(
    database: Database, pool: int, start: str, granted: list[int], booked: list[int] | None = None
) -> None:
    """An hour for each number: so many cores, and as many times 1024 MiB of memory."""
    await database.execute(
        """
        INSERT INTO availability_hour
        SELECT 1, $1, $2::timestamptz + (n - 1) * interval '1 hour', 0, g, g * 1024, 0, 0, 0, 0, b, b * 1024, 0, 0, 0, 0
        FROM unnest($3::bigint[], $4::bigint[]) WITH ORDINALITY AS x (g, b, n)
        """,
        pool,
        at(start),
        granted,
        booked or [0] * len(granted),
    )


async def add_item(database: Database, table: str, start: str, end: str, cores: int, origin: str | None) -> UUID:
    item = uuid4()
    rest = ", 0, false, 1, 1, 0" if table == "live_booking" else ""
    await database.execute(
        f"INSERT INTO {table} VALUES (1, $1, 1, $2, $3, 0, $4, 0, 0, 0, 0, 'ada', $5{rest})",
        item,
        at(start),
        at(end),
        cores,
        origin,
    )
    return item


async def touch(database: Database, position: int, pool: int = GAIA) -> None:
    async with database.transaction():
        await database.execute("UPDATE event_head SET position = $1", position)
        await database.execute("UPDATE pool SET touched = $1 WHERE pool = $2", position, pool)
        await database.execute("UPDATE generation SET position = $1", position)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + ":00:00+00:00")


async def select(client: Client, path: str = "/available/select", **query: Any) -> dict[str, Any]:
    answer = await client.get(path, params=({} if "clusterid" in query else {"project": "gaia"}) | query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Hourbook-Position"] == str(answer.json()["position"])
    return dict(answer.json())


def cores(blocks: list[dict[str, Any]], end: str, value: str = "available") -> list[int]:
    return [block[value][end]["cores"] for block in blocks]
