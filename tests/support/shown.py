"""A project and the query service's answers about it."""

import csv
import io
from typing import Any

import httpx

from services.command.domain import CreateTemplate
from shared.capacity import Capacity
from shared.hours import iso
from tests.support.project import T0, Project
from tests.support.querying import show

DAY = "2086-01-01,2086-01-01"
EIGHT = "2086-01-01T00:00Z,2086-01-01T08:00Z"


class Shown:
    """A project, and the answers about it as it is when they are asked for."""

    def __init__(self, database_url: str, client: httpx.AsyncClient) -> None:
        self.project = Project()
        self._database_url, self.client = database_url, client

    async def ask(self, path: str, **query: Any) -> httpx.Response:
        await show(self._database_url, self.project.history)
        headers = query.pop("headers", {})
        return await self.client.get(path, params=query, headers=headers)

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = await self.ask(path, **query)
        assert answer.status_code == 200, answer.text
        assert answer.json()["position"] == len(self.project.history)
        return dict(answer.json())

    async def table(self, path: str, **query: Any) -> list[dict[str, str]]:
        answer = await self.ask(path, headers={"Accept": "text/csv"}, **query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/csv")
        return list(csv.DictReader(io.StringIO(answer.text)))

    async def problem(self, path: str, **query: Any) -> tuple[int, str]:
        answer = await self.ask(path, **query)
        return answer.status_code, answer.json()["errors"][0]["field"]


def minima(blocks: list[dict[str, Any]], value: str, dimension: str = "cores") -> list[int]:
    return [block[value]["min"][dimension] for block in blocks]


def at(hour: int) -> str:
    return iso(T0 + hour)


def template(project: Project, name: str, **counts: int) -> None:
    project.do(CreateTemplate(template=name, capacity=Capacity(**counts)))
