"""What an account holds in an hour, by pool, and until when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from services.query.answers.admission import Admission
from services.query.answers.answers import HOURS_AT_ONCE, HOURS_FREE, ViewResult
from services.query.answers.cache import CacheEntry, Version
from services.query.database import Database
from services.query.holdings import Held, Hold, Size, held_from, runs_of
from services.query.questions.model import EntitlementsQuestion
from services.query.render.blocks import render_object
from services.query.render.tables import table
from services.query.views.accounts import read_version
from shared.capacity import DIMENSIONS
from shared.hours import LATEST, Period, hour_of, instant_of, iso
from shared.identity.roles import pools_above
from shared.names import composed, spellings
from shared.postgres import Reader

# Most answers change within this time. The rest of the future is read only if an answer needs it.
NEAR_HOURS = 35 * 24
WEIGHT_OF_MANY = HOURS_AT_ONCE // 2  # as which a read of more than HOURS_FREE bookings counts


class Bookings(NamedTuple):
    """The bookings of the account in one pool, from an hour on, ordered by start. `number` is the pool's key in the
    tables."""

    pool: str
    project: str
    number: int
    holds: list[Hold]


class Entitlements(NamedTuple):
    """What an account holds: `held` by pool, in the order of the pools' ids. `until` is the hour in which an amount is
    another one, `due` the hour in which the answer is another one; None: never. `pools` are all of which it was
    made."""

    position: int
    version: Version
    held: Mapping[str, tuple[Bookings, Held]]
    until: int | None
    due: int | None
    pools: frozenset[str]


async def read_entitlements(
    database: Database, question: EntitlementsQuestion, wide: Admission | None = None
) -> ViewResult:
    """`{account, at, position, until, entitlements: [{pool, project, servers, …, until, bookings}]}`."""
    found = await find_entitlements(database, question, wide)
    return ViewResult(found.position, CacheEntry(found.version, *rendered(question, found)))


def rendered(question: EntitlementsQuestion, found: Entitlements) -> tuple[bytes, bytes | None]:
    """The answer: the text before the position, and the text after it, which is the same while the rest is."""
    rows = [row_of(pool, held) for pool, held in found.held.values()]
    if question.csv:
        return table(rows, ["pool", "project", *DIMENSIONS, "until"]), None
    opening = {"account": composed(question.account), "at": iso(question.hour)}
    until = None if found.until is None else iso(found.until)
    return render_object(opening, {"until": until, "entitlements": rows})


def row_of(pool: Bookings, held: Held) -> dict[str, Any]:
    return {
        "pool": pool.pool,
        "project": pool.project,
        **dict(zip(DIMENSIONS, held.counts, strict=True)),
        "until": None if held.until is None else iso(held.until),
        "bookings": [
            {
                "id": hold.booking,
                "start": iso(hold.period.start),
                "end": iso(hold.period.end),
                "share": hold.share,
                "state": "tentative" if hold.tentative else "confirmed",
            }
            for hold in held.holds
        ],
    }


class _Many(Exception):
    """The account has more bookings than are read without a turn."""


async def find_entitlements(
    database: Database, question: EntitlementsQuestion, wide: Admission | None = None
) -> Entitlements:
    """What the account holds in the hour. If it has many bookings, it waits for its turn in `wide`; None: it does not.
    Raises UnknownId, NoGeneration, TooBusy."""
    if wide is None:
        return await _find(database, question, None)
    try:
        return await _find(database, question, HOURS_FREE)
    except _Many:  # nobody knows how many: no session of the database waits for a turn
        async with wide.admitted(WEIGHT_OF_MANY):
            return await _find(database, question, None)


async def _find(database: Database, question: EntitlementsQuestion, bookings_max: int | None) -> Entitlements:
    """Raises _Many as well, for more than `bookings_max` bookings."""
    async with database.snapshot() as snapshot:
        position, version = await read_version(snapshot, question)
        near = min(question.hour + NEAR_HOURS, LATEST)
        found = await _look(snapshot, version.generation, question, near, bookings_max)
        if not all(held.until for _, held in found.values()) or not found:
            found = await _look(snapshot, version.generation, question, LATEST, bookings_max)
    held = {pool: both for pool, both in sorted(found.items()) if any(both[1].counts)}
    untils = [one.until for _, one in found.values() if one.until is not None]
    edges = {edge for one, _ in found.values() for hold in one.holds for edge in hold.period}
    dues = [*untils, *(edge for edge in edges if edge > question.hour)]
    return Entitlements(position, version, held, min(untils, default=None), min(dues, default=None), frozenset(found))


async def _look(
    reader: Reader, generation: int, question: EntitlementsQuestion, end: int, bookings_max: int | None
) -> dict[str, tuple[Bookings, Held]]:
    """What each pool gives in the hour, and when that changes before `end`: of all pools with bookings before it."""
    pools = await _bookings(reader, generation, question, end, bookings_max)
    sizes = await _sizes(reader, generation, pools, Period(question.hour, end))
    chains = await _chains(reader, generation, pools)
    short = await _short(reader, generation, pools, chains, Period(question.hour, end))
    return {
        pool.pool: (
            pool,
            held_from(
                question.hour,
                end,
                pool.holds,
                sizes[pool.number],
                runs_of(short[pool.number]),
                runs_of(sorted({hour for number in chains[pool.pool] for hour in short[number]})),
            ),
        )
        for pool in pools
    }


BOOKINGS = """
SELECT p.id AS name, p.project, b.pool, b.id, b.starts, b.ends, b.share, b.tentative,
    b.servers, b.cores, b.memory, b.tempdisc, b.userdisc, b.datadisc
FROM live_booking b JOIN pool p ON p.generation = b.generation AND p.pool = b.pool
WHERE b.generation = $1 AND b.account = ANY ($2::text[]) AND b.ends > $3 AND b.starts < $4
    AND ($5::text IS NULL OR p.project = $5)
ORDER BY b.starts, b.id, b.segment LIMIT $6
"""


async def _bookings(
    reader: Reader, generation: int, question: EntitlementsQuestion, end: int, most: int | None
) -> list[Bookings]:
    """The bookings from the hour on that begin before `end`. Raises _Many for more than `most`; None: no bound."""
    start = instant_of(question.hour)
    names = list(spellings(question.account))
    limit = None if most is None else most + 1
    records = await reader.fetch(BOOKINGS, generation, names, start, instant_of(end), question.project, limit)
    if most is not None and len(records) > most:
        raise _Many
    pools: dict[int, Bookings] = {}
    for name, project, number, booking, starts, ends, share, tentative, *counts in records:
        if number not in pools:
            pools[number] = Bookings(name, project, number, [])
        period = Period(hour_of(starts), hour_of(ends))
        pools[number].holds.append(Hold(str(booking), period, tuple(counts), share, tentative))
    return [pool for pool in pools.values() if question.within.has(pool.pool)]


# While an account has a share of a cluster, each of its hours has a row.
SIZES = """
SELECT pool, hour, servers, cores, memory, tempdisc, userdisc, datadisc FROM (
    SELECT a.pool, a.hour, a.granted_servers AS servers, a.granted_cores AS cores, a.granted_memory AS memory,
        a.granted_tempdisc AS tempdisc, a.granted_userdisc AS userdisc, a.granted_datadisc AS datadisc,
        lag(ROW (a.granted_servers, a.granted_cores, a.granted_memory, a.granted_tempdisc, a.granted_userdisc,
            a.granted_datadisc)) OVER (PARTITION BY a.pool ORDER BY a.hour) AS before
    FROM unnest($2::int[], $4::timestamptz[]) AS w (pool, ends)
    JOIN availability_hour a ON a.generation = $1 AND a.pool = w.pool AND a.hour >= $3 AND a.hour < w.ends
) s WHERE before IS DISTINCT FROM ROW (servers, cores, memory, tempdisc, userdisc, datadisc) ORDER BY pool, hour
"""


async def _sizes(
    reader: Reader, generation: int, pools: Sequence[Bookings], period: Period
) -> Mapping[int, list[Size]]:
    """The sizes, by pool, of those that the account has shares of: from the start of the period to the end of the last
    share, and before the end of the period."""
    shares = {
        pool.number: instant_of(min(period.end, max(hold.period.end for hold in pool.holds if hold.share)))
        for pool in pools
        if any(hold.share for hold in pool.holds)
    }
    found: dict[int, list[Size]] = defaultdict(list)
    if shares:
        arguments = list(shares), instant_of(period.start), list(shares.values())
        for pool, hour, *counts in await reader.fetch(SIZES, generation, *arguments):
            found[pool].append(Size(hour_of(hour), tuple(counts)))
    return found


TENTATIVE = """
SELECT p.id, p.parent FROM pool p WHERE p.generation = $1 AND p.id = ANY ($2::text[]) AND p.tentative
"""


async def _chains(reader: Reader, generation: int, pools: Sequence[Bookings]) -> dict[str, list[int]]:
    """For each pool, the keys of the pools that it depends on: those whose short hours take from it the hours that it
    has. A cluster that is tentative depends on the pool around it, and what lies in the cluster does so too."""
    above = {name for pool in pools for name in pools_above(pool.pool) if "." in name}
    records = await reader.fetch(TENTATIVE, generation, sorted(above)) if above else ()
    parents: dict[str, int] = {record["id"]: record["parent"] for record in records}
    return {pool.pool: [parents[name] for name in pools_above(pool.pool) if name in parents] for pool in pools}


SHORT = """
SELECT s.pool, s.hour FROM short_hour s
WHERE s.generation = $1 AND s.pool = ANY ($2::int[]) AND s.hour >= $3 AND s.hour < $4 ORDER BY s.pool, s.hour
"""


async def _short(
    reader: Reader, generation: int, pools: Sequence[Bookings], chains: Mapping[str, Sequence[int]], period: Period
) -> Mapping[int, list[int]]:
    """The short hours of the pools that tentative claims depend on."""
    asked = {pool.number for pool in pools if any(hold.tentative for hold in pool.holds)}
    asked.update(number for chain in chains.values() for number in chain)
    found: dict[int, list[int]] = defaultdict(list)
    if asked:
        for pool, hour in await reader.fetch(SHORT, generation, sorted(asked), *map(instant_of, period)):
            found[pool].append(hour_of(hour))
    return found
