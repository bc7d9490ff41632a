"""Point-in-time reads: `as_of` a position gives the answer that the read gave when that position was the last one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from services.projector.as_of.historian import Historian, load_writer
from services.query.app import create_app
from services.query.settings import Settings
from shared.capacity import Capacity
from shared.events import ClusterCreated, Event, GrantCreated, ProjectCreated, TemplateCreated
from shared.tasks import end_tasks
from tests.conftest import TEMPLATE
from tests.support.backends import as_role
from tests.support.histories import history
from tests.support.listening import listening
from tests.support.oracle import bound, bound_rows, bound_rows_then
from tests.support.querying import append_and_show

BOUND_S = 30
RANGE = "range=2085-12-30,2086-01-12"
LATER = "range=2086-01-03,2086-01-12"  # than any of the events was decided: what is offered begins after that
FORGET = """
TRUNCATE past_change, past_hours, past_pool, past_grant, past_booking, past_account, past_resize, past_template,
    past_role, past_account_member;
UPDATE past_head SET position = 0
"""


class Ledger:
    """A new database, and an application that reads it."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], client: httpx.AsyncClient) -> None:
        self.connection, self.client = connection, client

    async def append(self, events: list[Event]) -> None:
        """Appends events and applies them to the live read models."""
        await append_and_show(self.connection, events)

    async def keep(self, batch: int = 37) -> None:
        past = await load_writer(self.connection)
        while await past.advance(batch):
            pass

    async def get(self, path: str, **headers: str) -> tuple[int, Any, httpx.Headers]:
        answer = await self.client.get(path, headers=headers)
        text = answer.headers.get("content-type", "").startswith("text/")
        return answer.status_code, answer.text if text or not answer.content else answer.json(), answer.headers


@contextlib.asynccontextmanager
async def ledger(url: str) -> AsyncIterator[Ledger]:
    connection = await asyncpg.connect(url)
    settings = Settings(database_url=as_role(url, "query"), visible_timeout_s=0.3)
    async with listening(create_app(settings)) as address, httpx.AsyncClient(base_url=address, timeout=30) as client:
        yield Ledger(connection, client)
    await connection.close()


@pytest.fixture
async def now(database_url: str) -> AsyncIterator[Ledger]:
    async with ledger(database_url) as made:
        yield made


@pytest.fixture
async def then(postgres: Any) -> AsyncIterator[Ledger]:
    """A second database, with the history only up to an earlier position."""
    name = f"then_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres.url_of("postgres"))
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    async with ledger(postgres.url_of(name)) as made:
        yield made
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


def questions(events: list[Event]) -> list[str]:
    """Every read that finds something in the history, and some that find nothing."""
    paths = ["/projects", "/pools", "/accounts/a.ics?" + RANGE, f"/accounts/b/usage?{RANGE}"]
    for project in {event.project for event in events}:
        clusters = {event.cluster for event in events if isinstance(event, ClusterCreated) and event.project == project}
        templates = {event.template for event in events if isinstance(event, TemplateCreated)}
        paths += [
            f"/pools?project={project}",
            f"/templates?project={project}",
            f"/accounts?project={project}",
            f"/accounts/a/usage?project={project}&{RANGE}&grain=day",
            f"/projects/{project}.ics?{RANGE}",
            f"/novaquota/allocated?project={project}&{RANGE}",
            f"/novaquota/available?project={project}&{RANGE}",
            f"/magcluster/sizes?project={project}&{RANGE}",
            f"/conflicts/select?project={project}&{RANGE}",
            *(f"/conflicts/select?project={project}&range=2086-01-{day:02}T07:00Z,2086-01-12" for day in (2, 4, 6)),
        ]
        for pool in (f"project={project}", *(f"clusterid={cluster}" for cluster in sorted(clusters)[:4])):
            paths += [
                f"/available/select?{pool}&{RANGE}&grain=hour",
                f"/available/select?{pool}&{RANGE}&grain=day",
                f"/available/matrix?{pool}&{RANGE}&grain=day",
                f"/resources/select?{pool}&{RANGE}",
                f"/bookings/select?{pool}&{RANGE}",
                f"/bookings/load?{pool}&{RANGE}&by=cluster",
                f"/bookings/select?{pool}&{RANGE}&limit=2",
                f"/bookings/select?{pool}&{RANGE}&tree=true&shape=columns",
                f"/available/slots?{pool}&{LATER}&tree=true&duration=3h&cores=2",
                f"/available/slots?{pool}&{LATER}&duration=3h&cores=2",
                *(f"/available/select?{pool}&{RANGE}&template={name}" for name in sorted(templates)[:1]),
                *(f"/available/slots?{pool}&{RANGE}&most={name}" for name in sorted(templates)[:1]),
            ]
        for cluster in sorted(clusters)[:4]:
            paths += [
                f"/clusters/{cluster}/sizes",
                f"/magcluster/sizes?clusterid={cluster}",
                f"/magcluster/{cluster}/resizes",
                f"/clusters/{cluster}.ics?{RANGE}",
            ]
    grants = [event.grant for event in events if isinstance(event, GrantCreated)]
    return paths + [f"/novaquota/{grant}" for grant in grants[:3] + grants[-2:]]


@pytest.mark.parametrize("seed", [21, 22])
async def test_every_read_answers_what_it_answered_then(now: Ledger, then: Ledger, seed: int) -> None:
    events = history(seed, 500)
    await now.append(events[:300])
    await now.keep()
    await now.append(events[300:])
    await now.keep(batch=61)
    paths, reached, some = questions(events), 0, 0
    for position in (2, 171, 301, 500):
        await then.append(events[reached:position])
        reached = position
        for path in paths:
            joint = "&" if "?" in path else "?"
            was, (status, body, headers) = await then.get(path), await now.get(f"{path}{joint}as_of={position}")
            assert (status, body) == was[:2], f"{path} as of {position}"
            if status == 200:
                assert headers["Hourbook-Position"] == str(position)
                some += 1
    assert some > 150


async def test_the_past_is_the_same_however_it_was_kept(now: Ledger) -> None:
    """The historian may read the events in one batch or in many, by columns or one by one, with snapshots or without.
    What it prepares while it writes is what it would have read then."""
    await now.append(history(5, 600))
    await now.keep(batch=1)
    before = await everything(now)
    for batch in (600, 97, 30):
        await now.connection.execute(FORGET)
        await now.keep(batch)
        assert await everything(now) == before, batch


@pytest.mark.parametrize("seed", [9, 21])
async def test_the_roles_and_members_are_those_of_each_position(now: Ledger, seed: int) -> None:
    events = history(seed, 400)
    await now.append(events)
    await now.keep()
    assert await bound_rows(now.connection) == bound(events)
    for position in range(0, 401, 16):
        assert await bound_rows_then(now.connection, position) == bound(events[:position])
    assert min(map(len, bound(events))) > 0


async def everything(ledger: Ledger) -> dict[str, list[str]]:
    found = {}
    for table in ("change", "pool", "grant", "booking", "account", "resize", "template", "role", "account_member"):
        records = await ledger.connection.fetch(f"SELECT t::text AS row FROM past_{table} t")
        found[table] = sorted(record["row"] for record in records)
    return found


COLUMNS = """
SELECT n.nspname AS schema, c.relname AS model,
    array_agg(a.attname || ' ' || format_type(a.atttypid, NULL) ORDER BY a.attname) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relname = ANY (read_models() || 'generation'::text) AND n.nspname IN ('public', 'past') GROUP BY 1, 2
"""
# `as_of` asks for no role of the past, so nothing reads when the roles of a project changed last.
NOT_KEPT = {"role_head"}


async def test_each_read_model_has_a_view_of_the_past_with_its_columns(now: Ledger) -> None:
    """A view without a column would answer 500, or the column of the present."""
    found: dict[str, dict[str, list[str]]] = {"public": {}, "past": {}}
    for schema, model, columns in await now.connection.fetch(COLUMNS):
        found[schema][model] = columns
    assert len(found["past"]) > 10
    assert found["past"] == {model: names for model, names in found["public"].items() if model not in NOT_KEPT}


async def test_a_database_without_the_views_does_not_answer_with_the_present(now: Ledger) -> None:
    await now.append([project(datetime(2026, 1, 1, tzinfo=UTC), name) for name in ("a", "b")])
    await now.keep()
    await now.connection.execute("ALTER SCHEMA past RENAME TO passed")
    assert (await now.get("/projects?as_of=1"))[0] == 500


async def test_an_instant_means_what_had_been_decided_then(now: Ledger) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    await now.append(
        [project(began, "a"), project(began + timedelta(hours=1), "b"), project(began + timedelta(hours=2), "c")]
    )
    await now.keep()
    for text, ids in (
        ("2025-12-31T23:59:59Z", []),
        ("2026-01-01T00:00:00Z", ["a"]),
        ("2026-01-01T02:30:00%2B01:00", ["a", "b"]),
        ("2026-01-01T01:59:59.999Z", ["a", "b"]),
        ("2026-03-01T00:00:00Z", ["a", "b", "c"]),
        ("0", []),
        ("2", ["a", "b"]),
    ):
        status, body, headers = await now.get(f"/projects?as_of={text}")
        assert (status, [row["id"] for row in body["projects"]]) == (200, ids), text
        assert (headers["Hourbook-Position"], body["position"]) == (str(len(ids)), len(ids))


async def test_now_is_the_hour_that_it_was_then(now: Ledger) -> None:
    at = datetime(2026, 1, 5, 10, 20, tzinfo=UTC)
    start = datetime(2026, 1, 5, tzinfo=UTC)
    grant = GrantCreated(
        at=at,
        actor="ada",
        command=uuid4(),
        project="a",
        grant=uuid4(),
        start=start,
        end=start + timedelta(days=1),
        capacity=Capacity(cores=7),
    )
    await now.append([project(at, "a"), grant])
    await now.keep()
    for as_of in ("2", "2026-01-05T12:59:59Z"):
        _, body, _ = await now.get(f"/available/now?project=a&as_of={as_of}")
        assert body["hour"] == f"2026-01-05T{'10' if as_of == '2' else '12'}:00:00Z"
        assert body["available"]["cores"] == 7
    _, body, _ = await now.get("/available/slots?project=a&duration=2h&cores=7&as_of=2")
    assert body["slots"][0]["start"] == "2026-01-05T11:00:00Z"


async def test_no_slot_that_is_offered_has_begun(now: Ledger) -> None:
    at = datetime(2026, 1, 5, 10, 20, tzinfo=UTC)
    start = datetime(2026, 1, 5, tzinfo=UTC)
    grant = GrantCreated(
        at=at,
        actor="ada",
        command=uuid4(),
        project="a",
        grant=uuid4(),
        start=start,
        end=start + timedelta(days=1),
        capacity=Capacity(cores=7),
    )
    await now.append([project(at, "a"), grant])
    await now.keep()
    slots = "/available/slots?project=a&duration=2h&cores=7&limit=50&range=2026-01-05,2026-01-05"
    for as_of, first in (("2026-01-05T11:00:00Z", 11), ("2026-01-05T11:00:01Z", 12), ("2", 11)):
        _, body, _ = await now.get(f"{slots}&as_of={as_of}")
        assert [slot["start"][11:13] for slot in body["slots"]] == [f"{hour:02}" for hour in range(first, 23)]
    assert (await now.get(f"{slots}&as_of=2026-01-06T00:00:00Z"))[1]["slots"] == []
    _, body, _ = await now.get("/available/slots?project=a&duration=2h&cores=7&range=2026-01-04,2026-01-06&as_of=2")
    assert body["slots"][0]["start"] == "2026-01-05T11:00:00Z"


async def test_what_cannot_be_known_is_said(now: Ledger) -> None:
    await now.append([project(datetime(2026, 1, 1, tzinfo=UTC), "a")])
    for path, status, code in (
        ("/projects?as_of=1", 503, "not_yet_visible"),
        ("/projects?as_of=2", 400, "invalid_field"),
        ("/projects?as_of=2999-01-01T00:00:00Z", 400, "invalid_field"),
        ("/projects?as_of=now", 400, "invalid_field"),
        ("/projects?as_of=1&min_position=1", 400, "invalid_field"),
        ("/refusals?as_of=2", 400, "invalid_field"),
        (f"/available/select?project=a&{RANGE}&as_of=0", 404, "unknown_id"),
    ):
        found, body, _ = await now.get(path)
        assert (found, body["code"]) == (status, code), path


@pytest.mark.odd_store
async def test_what_was_refused_and_what_time_brought_by_then(now: Ledger) -> None:
    await now.append([project(datetime(2026, 1, day, tzinfo=UTC), f"p{day}") for day in (2, 4)])
    for number, day in enumerate((1, 3, 5), 1):
        at = datetime(2026, 1, day, tzinfo=UTC)
        await now.connection.execute(
            "INSERT INTO refusal (at, project, actor, command, asked, code, detail, facts)"
            " VALUES ($1, 'p', 'ada', 'c', '{}', 'refused', '', '{}')",
            at,
        )
        await now.connection.execute(
            "INSERT INTO notice VALUES ($1, $2, 'booking.ended', 'p', 's', $3, '{}', $4)",
            number,
            f"n{number}",
            datetime(2026, 1, 1, tzinfo=UTC),
            at,
        )
    for as_of, count in (("0", 0), ("1", 1), ("2", 2), ("2026-01-03T00:00:00Z", 2), ("2026-01-02T23:59:59Z", 1)):
        for path in ("refusals", "notices"):
            assert len((await now.get(f"/{path}?as_of={as_of}"))[1][path]) == count, (path, as_of)
    assert len((await now.get("/refusals"))[1]["refusals"]) == 3


async def test_an_answer_about_the_past_is_good_for_ever(now: Ledger) -> None:
    await now.append([project(datetime(2026, 1, 1, tzinfo=UTC), "a")])
    await now.keep()
    path = f"/available/select?project=a&{RANGE}&as_of=1"
    _, _, headers = await now.get(path)
    assert (await now.get(path, **{"If-None-Match": headers["ETag"]}))[0] == 304


async def test_two_historians_keep_it_once_and_live(now: Ledger, database_url: str) -> None:
    events = history(9, 300)
    historians = [
        asyncio.create_task(Historian(as_role(database_url, "projector"), poll_s=0.01).run()) for _ in range(2)
    ]
    for start in range(0, 300, 30):
        await now.append(events[start : start + 30])
    async with asyncio.timeout(BOUND_S):
        while await now.connection.fetchval("SELECT position FROM past_head") < 300:
            await asyncio.sleep(0.02)
    await end_tasks(*historians)
    kept = await everything(now)
    await now.connection.execute(FORGET)
    await now.keep()
    assert await everything(now) == kept


async def hours_of(ledger: Ledger, pool: str, position: int) -> dict[str, Any]:
    """The answer of /available/select by the hour, without hours in which all is zero."""
    _, body, _ = await ledger.get(f"/available/select?{pool}&{RANGE}&grain=hour&as_of={position}")
    return {
        block["start"]: {value: block[value]["min"] for value in ("granted", "booked", "shared", "available")}
        for block in body["blocks"]
    }


@pytest.mark.parametrize("seed", [31, 32])
async def test_the_difference_is_that_of_the_hours_and_names_the_events(now: Ledger, seed: int) -> None:
    events = history(seed, 300)
    await now.append(events)
    await now.keep()
    clusters = [event.cluster for event in events if isinstance(event, ClusterCreated)]
    some = 0
    for pool in ("project=project-1", f"clusterid={clusters[0]}"):
        born = (
            2
            if pool.startswith("project")
            else 1 + events.index(next(event for event in events if isinstance(event, ClusterCreated)))
        )
        for begin, end in ((born, 150), (150, 151), (150, 300), (250, 250)):
            status, body, _ = await now.get(f"/available/diff?{pool}&from={begin}&to={end}&{RANGE}")
            assert (status, body["from"], body["to"]) == (200, begin, end)
            before, after = await hours_of(now, pool, begin), await hours_of(now, pool, end)
            told = {}
            for run in body["hours"]:
                hour = datetime.fromisoformat(run["start"])
                while hour < datetime.fromisoformat(run["end"]):
                    told[hour.strftime("%Y-%m-%dT%H:%M:%SZ")] = (run["before"], run["after"])
                    hour += timedelta(hours=1)
            assert told == {hour: (before[hour], after[hour]) for hour in before if before[hour] != after[hour]}
            some += len(told)
            assert all(begin < event["position"] <= end for event in body["events"])
            assert [type(events[event["position"] - 1]).__name__ for event in body["events"]] == [
                event["type"] for event in body["events"]
            ]
            covered = {
                hour
                for event in body["events"]
                for period in event["periods"]
                for hour in told
                if period["start"] <= hour < period["end"]
            }
            assert covered == told.keys()
    assert some > 100


async def test_a_difference_that_cannot_be_told_is_refused(now: Ledger) -> None:
    await now.append([project(datetime(2026, 1, 1, tzinfo=UTC), "a"), project(datetime(2026, 1, 1, tzinfo=UTC), "b")])
    await now.keep()
    for path, status, field in (
        ("project=a&from=2&to=1", 400, "to"),
        ("project=a&to=1", 400, "from"),
        ("project=a&from=1&to=9", 400, "to"),
        ("project=b&from=0&to=1", 404, "project"),
        ("from=0&to=1", 400, "project"),
    ):
        found, body, _ = await now.get(f"/available/diff?{path}")
        assert (found, body["errors"][0]["field"]) == (status, field), path
    assert (await now.get("/available/diff?project=a&from=0&to=2"))[1]["hours"] == []


def project(at: datetime, name: str) -> Event:
    return ProjectCreated(at=at, actor="ada", command=uuid4(), project=name, name=name)
