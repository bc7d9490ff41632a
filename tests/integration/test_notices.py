"""Notices: each is made once, after its hour has struck, from the bookings of that moment. A late start makes the
rest."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import nats
import pytest
from jsonschema import Draft202012Validator
from nats.js.api import ConsumerConfig

from services.notify.app import Notifier
from services.notify.publisher import publish
from services.notify.schedule import LeadTimes, Schedule
from services.notify.settings import Settings
from services.projector.generation import load_generation, prepare, write_batch
from services.query.render.asyncapi import NOTICE_HEADERS, document
from shared.capacity import Capacity
from shared.event_store import EventStore
from shared.events import (
    BookingAmended,
    BookingCancelled,
    BookingCreated,
    ClusterCreated,
    Event,
    Overcommit,
    ProjectCreated,
)
from shared.notices import STREAM
from shared.tasks import end_tasks
from tests.support.backends import Nats, as_role
from tests.support.histories import append_history

BOUND_S = 20
DAY = datetime(2086, 1, 10, tzinfo=UTC)
ONE = Capacity(cores=1)
LEADS = LeadTimes(timedelta(hours=24), timedelta(hours=24))


def hour(number: float) -> datetime:
    """The instant so many hours after the start of the day."""
    return DAY + timedelta(hours=number)


class Ledger:
    """The event store and the read models, without the processes between them."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.store = connection, EventStore(connection)

    async def do(self, *events: Event, shown: bool = True) -> None:
        await append_history(self.store, list(events))
        if shown:
            await self.show()

    async def show(self) -> None:
        generation = await load_generation(self.connection)
        stored = [event.data for event in await self.store.after(generation.position, 1000)]
        await write_batch(self.connection, generation, stored)

    async def told(self) -> list[tuple[str, str, int]]:
        """The kind of a notice, the first part of the booking's id, and the hour."""
        rows = await self.connection.fetch("SELECT seq, kind, subject, due FROM notice ORDER BY seq")
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        return [(row["kind"], row["subject"][:8], int((row["due"] - DAY) / timedelta(hours=1))) for row in rows]


def recorded(at: float) -> dict[str, Any]:
    return {"at": hour(at), "actor": "ada", "command": uuid4(), "project": "gaia"}


def booked(number: int, start: float, end: float, at: float = -100) -> BookingCreated:
    booking = UUID(int=number << 96)
    return BookingCreated(
        **recorded(at), booking=booking, pool="gaia", account="ada", start=hour(start), end=hour(end), capacity=ONE
    )


def cancelled(booking: BookingCreated, start: float, at: float = -100) -> BookingCancelled:
    return BookingCancelled(
        **recorded(at), booking=booking.booking, pool="gaia", start=hour(start), end=booking.end, capacity=ONE
    )


def name(number: int) -> str:
    return f"{number:08x}"


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    connection = await asyncpg.connect(database_url)
    await prepare(connection)
    ledger = Ledger(connection)
    await ledger.do(ProjectCreated(**recorded(-200), name="Gaia"))
    assert await Schedule(LEADS).tick(connection, hour(0)) == 0  # the first start
    yield ledger
    await connection.close()


async def run(ledger: Ledger, at: float, schedule: Schedule | None = None) -> None:
    schedule = schedule or Schedule(LEADS)
    while await schedule.tick(ledger.connection, hour(at)):
        pass


async def test_a_booking_starts_is_ending_and_ends(ledger: Ledger) -> None:
    await ledger.do(booked(1, 2, 50), booked(2, 3, 5))
    await run(ledger, 1.99)
    assert await ledger.told() == []
    await run(ledger, 2)
    assert await ledger.told() == [("booking.started", name(1), 2)]
    await run(ledger, 3.5)
    short = [("booking.started", name(2), 3), ("booking.ending", name(2), 3)]  # shorter than the lead: both at once
    assert (await ledger.told())[1:] == short
    await run(ledger, 25.9)
    assert (await ledger.told())[3:] == [("booking.ended", name(2), 5)]
    await run(ledger, 26)
    assert (await ledger.told())[4:] == [("booking.ending", name(1), 26)]
    await run(ledger, 1000)
    assert (await ledger.told())[5:] == [("booking.ended", name(1), 50)]
    row = await ledger.connection.fetchrow("SELECT id, project, data FROM notice WHERE seq = 1")
    assert (row["id"], row["project"]) == (f"booking-started_{booked(1, 0, 1).booking}_2086011002", "gaia")
    assert json.loads(row["data"]) == {
        "id": row["id"],
        "type": "booking.started",
        "time": "2086-01-10T02:00:00Z",
        "project": "gaia",
        "booking": str(UUID(int=1 << 96)),
        "pool": "gaia",
        "account": "ada",
        "start": "2086-01-10T02:00:00Z",
        "end": "2086-01-12T02:00:00Z",
    }


async def test_at_one_instant_what_is_over_is_told_first_then_what_begins_then_what_comes_near(ledger: Ledger) -> None:
    await ledger.do(
        ClusterCreated(
            **recorded(-100),
            cluster="gaia.soft",
            parent="gaia",
            kind="cluster",
            start=hour(0),
            end=hour(200),
            capacity=ONE,
            overcommit=Overcommit(beyond_hours=10),
        )
    )
    await ledger.do(booked(5, 1, 10), booked(2, 10, 12), booked(4, 10, 90), booked(3, 1, 34), booked(1, 5, 10))
    await ledger.do(*[msgspec.structs.replace(booked(number, 44, 50), pool="gaia.soft") for number in (6, 7)])
    await run(ledger, 10)
    assert [(kind, subject) for kind, subject, due in await ledger.told() if due == 10] == [
        ("booking.ended", name(1)),
        ("booking.ended", name(5)),
        ("booking.started", name(2)),
        ("booking.started", name(4)),
        ("booking.ending", name(2)),
        ("booking.ending", name(3)),
        ("conflict.approaching", "gaia.sof"),
    ]


async def test_whoever_starts_late_tells_what_was_due_meanwhile_and_once(ledger: Ledger) -> None:
    await ledger.do(*[booked(number, number, number + 30) for number in range(1, 21)])
    await run(ledger, 500)
    told = await ledger.told()
    assert len(told) == 60
    assert [due for _, _, due in told] == sorted(due for _, _, due in told)
    for at in (500, 500.5, 501, 400):  # again, and with a clock that goes back
        await run(ledger, at)
    assert await ledger.told() == told


async def test_hour_by_hour_or_all_at_once_is_the_same(ledger: Ledger) -> None:
    await ledger.do(*[booked(number, number % 40, number % 40 + 1 + number * 7 % 60) for number in range(1, 40)])
    for at in range(121):
        await run(ledger, at)
    by_hour = set(await ledger.told())
    assert len(by_hour) == 3 * 39
    await ledger.connection.execute("ALTER TABLE notice DISABLE TRIGGER ALL")
    await ledger.connection.execute("TRUNCATE notice")
    await ledger.connection.execute("UPDATE notice_head SET told_until = $1, seq = 0", hour(-1))
    await run(ledger, 120)
    assert set(await ledger.told()) == by_hour


async def test_a_cancelled_booking_is_not_told_and_a_cut_one_ends_where_it_was_cut(ledger: Ledger) -> None:
    one, two = booked(1, 5, 60), booked(2, 5, 60)
    await ledger.do(one, two)
    await ledger.do(cancelled(one, 5))
    await run(ledger, 6)
    assert await ledger.told() == [("booking.started", name(2), 5)]
    await ledger.do(cancelled(two, 8, at=7.5))
    await run(ledger, 100)
    assert (await ledger.told())[1:] == [("booking.ended", name(2), 8)]


def amended(booking: BookingCreated, start: float, end: float, cut: float | None = None) -> BookingAmended:
    """The booking amended to these hours. One that has begun is cut at `cut` and continues from there."""
    return BookingAmended(
        **recorded(-100),
        booking=booking.booking,
        pool="gaia",
        account="ada",
        from_capacity=ONE,
        capacity=ONE,
        from_start=booking.start if cut is None else hour(cut),
        from_end=booking.end,
        start=hour(start if cut is None else cut),
        end=hour(end),
    )


async def test_a_booking_that_is_moved_is_told_where_it_went(ledger: Ledger) -> None:
    one = booked(1, 5, 60)
    await ledger.do(one, amended(one, 7, 40))
    await run(ledger, 100)
    assert await ledger.told() == [
        ("booking.started", name(1), 7),
        ("booking.ending", name(1), 16),
        ("booking.ended", name(1), 40),
    ]


async def test_an_end_that_is_moved_is_told_again_and_a_start_is_not(ledger: Ledger) -> None:
    one = booked(1, 5, 60)
    await ledger.do(one)
    await run(ledger, 40)
    await ledger.do(amended(one, 5, 90, cut=41))  # later: it is not ending after all
    await run(ledger, 66)
    assert await ledger.told() == [
        ("booking.started", name(1), 5),
        ("booking.ending", name(1), 36),
        ("booking.ending", name(1), 66),
    ]
    two = msgspec.structs.replace(one, start=hour(41), end=hour(90))
    await ledger.do(amended(two, 41, 70, cut=67))  # sooner, and within the lead: at once
    await run(ledger, 66.5)
    assert (await ledger.told())[3:] == [("booking.ending", name(1), 46)]
    await run(ledger, 200)
    assert (await ledger.told())[4:] == [("booking.ended", name(1), 70)]


async def test_a_conflict_approaches_and_is_told_once(ledger: Ledger) -> None:
    policy = Overcommit(beyond_hours=10)
    await ledger.do(
        ClusterCreated(
            **recorded(-100),
            cluster="gaia.soft",
            parent="gaia",
            kind="cluster",
            start=hour(0),
            end=hour(200),
            capacity=ONE,
            overcommit=policy,
        )
    )
    soft = [msgspec.structs.replace(booked(number, 60, end), pool="gaia.soft") for number, end in ((1, 70), (2, 65))]
    late = [msgspec.structs.replace(booked(number, 100, 102), pool="gaia.soft") for number in (3, 4)]
    await ledger.do(*soft, *late)

    async def conflicts() -> list[tuple[str, int]]:
        return [(subject, due) for kind, subject, due in await ledger.told() if kind.startswith("conflict")]

    await run(ledger, 25)
    assert await conflicts() == []
    for at in (26, 27, 28):
        await run(ledger, at)
        assert await conflicts() == [("gaia.sof", 26)]
    row = await ledger.connection.fetchrow("SELECT id, data FROM notice WHERE kind = 'conflict.approaching'")
    assert row["id"] == "conflict-approaching_gaia_soft_2086011212"
    assert json.loads(row["data"]) == {
        "id": row["id"],
        "type": "conflict.approaching",
        "time": "2086-01-11T02:00:00Z",
        "project": "gaia",
        "pool": "gaia.soft",
        "start": "2086-01-12T12:00:00Z",
        "end": "2086-01-12T17:00:00Z",
        "deadline": "2086-01-12T02:00:00Z",
    }
    gone = late[1]
    await ledger.do(
        BookingCancelled(
            **recorded(-100), booking=gone.booking, pool="gaia.soft", start=gone.start, end=gone.end, capacity=ONE
        )
    )
    await run(ledger, 90)
    assert await conflicts() == [("gaia.sof", 26)]


async def test_an_hour_waits_until_the_projection_shows_what_was_decided_before_it(ledger: Ledger) -> None:
    one, schedule = booked(1, 5, 60), Schedule(LEADS)
    await ledger.do(one)
    await run(ledger, 4, schedule)
    await ledger.do(cancelled(one, 5, at=4.9), shown=False)
    await run(ledger, 5, schedule)
    assert await ledger.told() == []
    await ledger.show()
    await run(ledger, 5.1, schedule)
    assert await ledger.told() == []
    assert await ledger.connection.fetchval("SELECT told_until FROM notice_head") == hour(5)


async def test_events_after_the_hour_has_struck_do_not_hold_it_up(ledger: Ledger) -> None:
    one, schedule = booked(1, 5, 60), Schedule(LEADS)
    await ledger.do(one)
    assert await schedule.tick(ledger.connection, hour(5)) == 1
    await ledger.do(booked(2, 6, 70))
    await schedule.tick(ledger.connection, hour(6))
    await ledger.do(booked(3, 6, 70), shown=False)  # decided in the sixth hour, for it
    await run(ledger, 6.2, schedule)
    assert (await ledger.told())[1:] == [("booking.started", name(2), 6)]


async def test_a_booking_of_the_hour_that_runs_is_told_at_once_and_one_of_the_past_never(ledger: Ledger) -> None:
    await run(ledger, 10)
    await ledger.do(booked(1, 8, 40, at=10.2), booked(2, 2, 9, at=10.2), booked(3, 2, 12, at=10.2))
    await run(ledger, 10.5)
    late = [("booking.started", name(3), 2), ("booking.ending", name(3), 2), ("booking.started", name(1), 8)]
    assert await ledger.told() == late
    await run(ledger, 16)
    assert (await ledger.told())[3:] == [("booking.ended", name(3), 12), ("booking.ending", name(1), 16)]


@pytest.fixture
def settings(database_url: str, nats_server: Nats) -> Settings:
    return Settings(database_url=as_role(database_url, "notify"), nats_url=nats_server.url_of("notify"))


async def messages(url: str, count: int, subject: str = "hourbook.notices.>") -> list[Any]:
    client = await nats.connect(url)
    context = client.jetstream()
    async with asyncio.timeout(BOUND_S):
        while True:
            try:
                if (await context.stream_info(STREAM)).state.messages >= count:
                    break
            except nats.js.errors.NotFoundError:
                pass
            await asyncio.sleep(0.05)
    subscription = await context.subscribe(subject, config=ConsumerConfig(), ordered_consumer=True)
    found = []
    while True:
        try:
            found.append(await subscription.next_msg(timeout=0.5))
        except TimeoutError:
            break
    await client.close()
    return found


async def test_the_notices_are_on_their_stream_once(ledger: Ledger, settings: Settings, nats_server: Nats) -> None:
    await ledger.do(booked(1, 2, 50), booked(2, 3, 5))
    for _ in range(2):  # the second one begins where the first was stopped
        notifier = asyncio.create_task(Notifier(settings, lambda: hour(30), poll_s=0.02).run())
        found = await messages(nats_server.url, 5)
        await end_tasks(notifier)
    assert [(message.headers["ce-type"], message.headers["ce-subject"][:8]) for message in found] == [
        (kind, booking) for kind, booking, _ in await ledger.told()
    ]
    described = document("1")
    for message in found:
        kind = message.headers["ce-type"]
        assert described["channels"][kind]["address"].replace("{project}", "gaia") == message.subject
        Draft202012Validator(NOTICE_HEADERS).validate(message.headers)
        payload = described["components"]["messages"][kind]["payload"]
        Draft202012Validator(payload | {"components": described["components"]}).validate(json.loads(message.data))
    first = found[0]
    assert first.subject == "hourbook.notices.gaia.booking.started"
    assert first.headers["ce-time"] == "2086-01-10T02:00:00Z"
    assert first.headers["ce-id"] == json.loads(first.data)["id"] == first.headers["Nats-Msg-Id"]
    assert len(await messages(nats_server.url, 5, "hourbook.notices.*.booking.ended")) == 1


async def test_a_notice_that_is_published_again_is_dropped_by_the_stream(
    ledger: Ledger, settings: Settings, nats_server: Nats
) -> None:
    await ledger.do(booked(1, 2, 50))
    await run(ledger, 100)
    client = await nats.connect(nats_server.url_of("notify"))
    pool = await asyncpg.create_pool(settings.database_url, min_size=1, max_size=2)
    assert await publish(pool, client) == 3
    await pool.execute("UPDATE notice_head SET published = 0")  # as if it had been killed before it noted them
    assert await publish(pool, client) == 3
    assert await publish(pool, client) == 0
    assert len(await messages(nats_server.url, 3)) == 3
    await pool.close()
    await client.close()


async def test_without_nats_the_notices_wait(ledger: Ledger, settings: Settings, nats_server: Nats) -> None:
    nats_server.stop()
    await ledger.do(booked(1, 2, 50))
    notifier = asyncio.create_task(Notifier(settings, lambda: hour(30), poll_s=0.02).run())
    async with asyncio.timeout(BOUND_S):
        while len(await ledger.told()) < 2:
            await asyncio.sleep(0.02)
    nats_server.start()
    assert len(await messages(nats_server.url, 2)) == 2
    await end_tasks(notifier)


async def test_two_notifiers_tell_once_and_the_second_takes_over(ledger: Ledger, settings: Settings) -> None:
    now = [hour(1)]
    tasks = [asyncio.create_task(Notifier(settings, lambda: now[0], poll_s=0.02).run()) for _ in range(2)]
    for number in range(1, 5):
        await ledger.do(booked(number, number + 1, number + 40))
        now[0] = hour(number + 1)
        async with asyncio.timeout(BOUND_S):
            while len(await ledger.told()) < number:
                await asyncio.sleep(0.02)
        if number == 2:
            await end_tasks(tasks[0])
    assert await ledger.told() == [("booking.started", name(number), number + 1) for number in range(1, 5)]
    await end_tasks(tasks[1])
