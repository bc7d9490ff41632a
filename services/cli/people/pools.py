"""`hourbook grants` and `hourbook clusters`: what the projects have, and what they are divided into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from whenever import Instant

from services.cli.people.amounts import DIMENSIONS, in_words
from services.cli.people.free import range_ahead
from services.cli.people.ledger import Answer, Ledger, pool_query, with_ledger
from services.cli.people.options import Ask
from services.cli.people.screen import Cell, Column, Screen
from services.cli.people.times import Clock, iso, local

AHEAD_DAYS = 365
GRANTS = (
    Column("id", is_first=True),
    *(Column(title) for title in ("project", "from", "until")),
    Column("gives", is_first=True),
    Column("source"),
)
GRANTS_CSV = tuple(Column(title) for title in ("id", "project", "start", "end", *DIMENSIONS, "source"))
CLUSTERS = (
    Column("cluster", is_first=True),
    Column("kind", is_first=True),
    Column("from"),
    Column("until"),
    Column("cores free now", is_number=True),
)
CLUSTERS_CSV = tuple(Column(title) for title in ("cluster", "kind", "start", "end", "cores_free_now"))


def show_grants(pool: str | None, range_: str | None, ask: Ask) -> None:
    screen = Screen(ask.output)
    zone, pages = with_ledger(ask, lambda ledger: read_grants(ledger, pool, range_))
    if ask.output == "json":
        screen.json(*(page.body for page in pages))
        return
    items = sorted((item for page in pages for item in page.document["items"]), key=by_time)
    if ask.output == "csv":
        screen.rows(GRANTS_CSV, (grant_in_csv(item, zone) for item in items))
    elif items:
        screen.rows(GRANTS, (grant_row(item, zone) for item in items))
        screen.say()
        screen.say(f"Times are in {zone}.", "dim")
    else:
        when = "in this range" if range_ else f"in the next {AHEAD_DAYS} days; --range shows other times"
        screen.say(f"No grants {when}. A manager gives capacity to a project with POST /resources/create.")


async def read_grants(ledger: Ledger, pool: str | None, range_: str | None) -> tuple[str, list[Answer]]:
    query = {"range": range_ahead(range_, ledger.clock, AHEAD_DAYS), "grain": "month"}
    pages = []
    for one in [pool] if pool else await ledger.projects():
        pages += await ledger.pages("/resources/select", **pool_query(one), **query)
    return ledger.zone, pages


def by_time(item: dict[str, Any]) -> tuple[str, str, str]:
    return item["pool"], item["start"], item["id"]


def grant_row(item: dict[str, Any], zone: str) -> Sequence[Cell]:
    times = (local(item["start"], zone), local(item["end"], zone))
    return (item["id"], item["pool"], *times, in_words(item), item["source"])


def grant_in_csv(item: dict[str, Any], zone: str) -> Sequence[Cell]:
    times = (local(item["start"], zone), local(item["end"], zone))
    return (item["id"], item["pool"], *times, *(item.get(name, 0) for name in DIMENSIONS), item["source"])


def show_clusters(pool: str | None, ask: Ask, *, with_ended: bool) -> None:
    screen = Screen(ask.output)
    clock, pages, free = with_ledger(ask, lambda ledger: read_clusters(ledger, pool))
    if ask.output == "json":
        screen.json(*(page.body for page in pages))
        return
    found = [
        one for page in pages for one in page.document["pools"] if one["kind"] != "project" and is_in(one["id"], pool)
    ]
    found = [one for one in found if with_ended or Instant.parse_iso(one["end"]) > clock.now.to_instant()]
    if found or ask.output == "csv":
        rows = cluster_rows(found, free, clock.zone)
        screen.rows(CLUSTERS_CSV if ask.output == "csv" else CLUSTERS, rows)
        screen.say()
        screen.say(f"Times are in {clock.zone}.", "dim")
    else:
        screen.say("No clusters." if with_ended else "No clusters that have not ended; --all shows those that have.")


def is_in(cluster: str, pool: str | None) -> bool:
    return pool is None or cluster == pool or cluster.startswith(f"{pool}.")


async def read_clusters(ledger: Ledger, pool: str | None) -> tuple[Clock, list[Answer], dict[str, int]]:
    """The pages of pools, and the cores that are free in each pool in the present hour."""
    begin = ledger.clock.now.round("hour", mode="floor")
    query = {"range": f"{iso(begin)},{iso(begin.add(hours=1))}", "grain": "hour", "dimension": "cores"}
    pages: list[Answer] = []
    free: dict[str, int] = {}
    for one in [pool] if pool else await ledger.projects():
        pages += await ledger.pages("/pools", project=one.partition(".")[0])
        matrix = await ledger.read("/available/matrix", **pool_query(one), **query)
        free |= {row["pool"]: row["min"][0] for row in matrix.document["rows"]}
    return ledger.clock, pages, free


def cluster_rows(pools: Sequence[dict[str, Any]], free: dict[str, int], zone: str) -> Iterator[Sequence[Cell]]:
    for one in pools:
        yield one["id"], one["kind"], local(one["start"], zone), local(one["end"], zone), free.get(one["id"])
