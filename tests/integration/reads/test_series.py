"""A recurring booking as one thing."""

from uuid import UUID, uuid4

import asyncpg

from services.command.domain import CancelBooking, CreateBooking, CreateSeries, SettleConflicts
from shared.hours import Period
from tests.support.project import T0, Project, cores
from tests.support.querying import append_and_show
from tests.support.shown import Shown, at

PERIODS = tuple(Period(T0 + 24 * day, T0 + 24 * day + 4) for day in range(5))


async def test_a_series_tells_what_has_become_of_each_occurrence(shown: Shown, database_url: str) -> None:
    project = Project(beyond_hours=24)
    project.at(-10)
    project.grant(0, 200, 4)
    project.book(0, 1, 2)  # the first occurrence is too near for over-commit, and is skipped
    project.book(72, 73, 3)
    first = CreateBooking(booking=uuid4(), pool="gaia", account="ada", period=PERIODS[0], capacity=cores(3))
    series = first.booking
    project.do(CreateSeries(booking=first, periods=PERIODS, rrule="FREQ=DAILY;COUNT=5", timezone="UTC", skip=True))
    _, _, third, _, fifth = (UUID(int=series.int + number) for number in range(5))
    project.do(CancelBooking(booking=third))
    project.amend(fifth, start=100, end=110)
    connection, path = await asyncpg.connect(database_url), f"/bookings/series/{series}"
    await append_and_show(connection, project.history)
    answer = (await shown.client.get(path)).json()
    assert {name: value for name, value in answer.items() if name not in ("occurrences", "position")} == {
        "id": str(series),
        "project": "gaia",
        "pool": "gaia",
        "account": "ada",
        "rrule": "FREQ=DAILY;COUNT=5",
        "timezone": "UTC",
        "first": at(0),
        "counts": {"confirmed": 2, "tentative": 1, "cancelled": 1, "lapsed": 0, "skipped": 1},
    }
    told = [(one["state"], one["start"], one["end"], one["refused"] is None) for one in answer["occurrences"]]
    assert told == [
        ("skipped", at(0), at(4), False),
        ("confirmed", at(24), at(28), True),
        ("cancelled", at(48), at(52), True),
        ("tentative", at(72), at(76), True),
        ("confirmed", at(100), at(110), True),
    ]
    assert [one["booking"] for one in answer["occurrences"]][0:2] == [None, str(UUID(int=series.int + 1))]

    before = len(project.history)
    project.at(60)
    project.do(SettleConflicts())
    await append_and_show(connection, project.history[before:])
    for indexed in (0, len(project.history)):  # also what the index of the history has not got yet
        await connection.execute("SELECT index_events($1)", indexed)
        answer = await shown.client.get(path, params={"min_position": len(project.history)})
        assert [one["state"] for one in answer.json()["occurrences"]][2:4] == ["cancelled", "lapsed"]
    await connection.close()
    rows = (await shown.client.get(path, headers={"Accept": "text/csv"})).text.splitlines()
    assert (rows[0], len(rows)) == ("booking,start,end,state,refused", 6)
    for other in (uuid4(), third):
        missing = await shown.client.get(f"/bookings/series/{other}")
        assert (missing.status_code, missing.json()["errors"][0]["field"]) == (404, "id")
