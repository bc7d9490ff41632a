"""The worked examples of the notes, over HTTP: commands in, the calendar out, three processes between."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from tests.support.system import System

_numbers = count(1)
JANUARY = "2020-01-01,2020-01-31"
BY_DAY = [9, 8, 7, 6, 5, 4, 4, 4, 4, 4, 4, 5, 6, 7, 8, 9, *[10] * 15]


class Hourbook:
    """A client: commands to one service, reads from the other, each read after the last write."""

    def __init__(self, command: httpx.Client, query: httpx.Client) -> None:
        self._command, self._query = command, query
        self.position = 0
        self.project = f"example-{next(_numbers)}"
        self.post("/projects/create", id=self.project, name="Example")

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self._command.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        self.position = answer.json()["position"]
        return dict(answer.json())

    def refused(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self._command.post(path, json=body)
        assert answer.status_code == 409, answer.text
        return dict(answer.json())

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = self._query.get(path, params={"min_position": self.position, **query})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def available(self, span: str, grain: str, dimension: str = "cores") -> tuple[list[int], list[int]]:
        """The minimum and the maximum of each block."""
        blocks = self.get("/available/select", project=self.project, range=span, grain=grain)["blocks"]
        low, high = ([block["available"][which][dimension] for block in blocks] for which in ("min", "max"))
        return low, high


@pytest.fixture(scope="module")
def services(system: System) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    with (
        system.projector(),
        system.command() as command,
        system.query() as query,
        httpx.Client(base_url=command.url) as writer,
        httpx.Client(base_url=query.url) as reader,
    ):
        yield writer, reader


@pytest.fixture
def hourbook(services: tuple[httpx.Client, httpx.Client]) -> Hourbook:
    return Hourbook(*services)


def load_january(hourbook: Hourbook) -> None:
    grant = {"project": hourbook.project, "startdate": "2020-01-01", "enddate": "2020-02-01T00:00Z"}
    hourbook.post("/resources/create", **grant, cores=10, memory=10)
    for k in range(1, 7):
        hourbook.post(
            "/bookings/create",
            project=hourbook.project,
            account=f"account-{k}",
            cores=1,
            memory=1,
            startdate=f"2020-01-{k:02d}",
            enddate=f"2020-01-{k + 10:02d}",
        )


def test_six_bookings_by_day(hourbook: Hourbook) -> None:
    load_january(hourbook)
    assert hourbook.available(JANUARY, "day") == (BY_DAY, BY_DAY)


def test_six_bookings_by_blocks_of_seven_days(hourbook: Hourbook) -> None:
    load_january(hourbook)
    low, high = hourbook.available(JANUARY, "168h")
    assert (low[:4], high[:4]) == ([4, 4, 8, 10], [9, 7, 10, 10])


def test_a_block_gives_the_minimum_and_the_maximum_of_its_hours(hourbook: Hourbook) -> None:
    hours = [0, 1, 2, 1, 0, 2, 0, 0]
    period = {"startdate": "2020-01-01T00:00Z", "enddate": "2020-01-01T08:00Z"}
    hourbook.post("/resources/create", project=hourbook.project, **period, cores=4)
    for hour, cores in enumerate(hours):
        if cores:
            start, end = f"2020-01-01T{hour:02d}:00Z", f"2020-01-01T{hour + 1:02d}:00Z"
            body = {"project": hourbook.project, "account": "ada", "cores": cores}
            hourbook.post("/bookings/create", **body, startdate=start, enddate=end)
    span = "2020-01-01T00:00Z,2020-01-01T08:00Z"
    assert hourbook.available(span, "hour")[0] == [4, 3, 2, 3, 4, 2, 4, 4]
    assert hourbook.available(span, "8h") == ([2], [4])


@pytest.mark.parametrize(("size", "fits"), [(1, 5), (2, 2)])
def test_of_five_cores_and_six_memory_tiny_fits_five_times_and_small_twice(
    hourbook: Hourbook, size: int, fits: int
) -> None:
    body = {"project": hourbook.project, "startdate": "2020-01-01", "enddate": "2020-01-01"}
    hourbook.post("/resources/create", **body, cores=5, memory=6)
    for _ in range(fits):
        hourbook.post("/bookings/create", **body, account="ada", cores=size, memory=size)
    refusal = hourbook.refused("/bookings/create", **body, account="ada", cores=size, memory=size)
    assert (refusal["shortages"][0]["dimension"], refusal["shortages"][0]["available"]) == ("cores", 5 - fits * size)
    assert hourbook.available("2020-01-01,2020-01-01", "day", "memory") == ([6 - fits * size], [6 - fits * size])


def test_a_cluster_and_its_bookings(hourbook: Hourbook) -> None:
    period = {"startdate": "2086-01-01", "enddate": "2086-01-10"}
    hourbook.post("/resources/create", project=hourbook.project, **period, cores=10)
    cluster = hourbook.post("/clusters/create", parent=hourbook.project, name="spark", **period, cores=6)["id"]
    hourbook.post("/bookings/create", clusterid=cluster, account="ada", **period, cores=5)
    hourbook.post("/bookings/create", project=hourbook.project, account="ada", **period, cores=3)
    hourbook.post(f"/clusters/{cluster}/resize", startdate="2086-01-05", enddate="2086-01-05", cores=7)
    assert hourbook.available("2086-01-04,2086-01-06", "day")[0] == [1, 0, 1]
    blocks = hourbook.get("/available/select", clusterid=cluster, range="2086-01-04,2086-01-06", grain="day")["blocks"]
    assert [block["available"]["min"]["cores"] for block in blocks] == [1, 2, 1]
