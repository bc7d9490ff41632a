"""`hourbook demo`: loads the example month, January 2020, over HTTP, and draws the available cores of each day."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from services.cli.client import CONNECTION_ERRORS, DEFAULT_URL, Client, CommandAnswer, cannot_connect, decoded
from services.cli.failure import Failure

PROJECT = "demo-january-2020"
ACTOR = "hourbook demo"
GRANTED = 10
BOOKINGS = 6
EXPECTED = (9, 8, 7, 6, 5, 4, 4, 4, 4, 4, 4, 5, 6, 7, 8, 9, *[10] * 15)


class _Block(msgspec.Struct):
    start: str
    available: dict[str, dict[str, int]]


class _Calendar(msgspec.Struct):
    position: int
    blocks: list[_Block]


def demo(*, url: str = DEFAULT_URL) -> None:
    """
    Parameters
    ----------
    url
        The address of Hourbook's HTTP interface.
    """
    console = Console(highlight=False)
    try:
        calendar = asyncio.run(load_and_read(url, console))
    except CONNECTION_ERRORS as error:
        raise cannot_connect(url, error) from None
    draw(calendar, console)
    days = tuple(block.available["min"]["cores"] for block in calendar.blocks)
    if days != EXPECTED:
        raise Failure(f"this is not the month of the example: has somebody else booked in {PROJECT}?")


async def load_and_read(url: str, console: Console) -> _Calendar:
    """Sends the commands, shows each, and reads the month as it is after the last of them."""
    position = 0
    async with Client(url, ACTOR) as client:
        for path, body in commands():
            status, done = await send(client, path, body)
            position = max(position, done.position)
            said = "new" if status == HTTPStatus.CREATED else "was there"
            console.print(f"POST {path} {msgspec.json.encode(body).decode()}: {said}", markup=False, soft_wrap=True)
        query = {"project": PROJECT, "range": "2020-01-01,2020-01-31", "grain": "day", "min_position": str(position)}
        status, body_read = await client.get("/available/select", query)
    if status != HTTPStatus.OK:
        raise Failure(f"GET /available/select answers {status}: {decoded(body_read).detail}")
    return msgspec.json.decode(body_read, type=_Calendar)


def commands() -> list[tuple[str, dict[str, Any]]]:
    """The commands of the example, as (path, body)."""
    amount = {"cores": 1, "memory": 1}
    grant = {"startdate": "2020-01-01", "enddate": "2020-01-31", "cores": GRANTED, "memory": GRANTED}
    return [
        ("/projects/create", {"id": PROJECT, "name": "January 2020, from the notes"}),
        ("/resources/create", {"project": PROJECT, **grant}),
        *(
            (
                "/bookings/create",
                {
                    "project": PROJECT,
                    "account": f"account-{number}",
                    **amount,
                    "startdate": f"2020-01-{number:02}",
                    "enddate": f"2020-01-{10 + number:02}",
                },
            )
            for number in range(1, BOOKINGS + 1)
        ),
    ]


async def send(client: Client, path: str, body: dict[str, Any]) -> tuple[int, CommandAnswer]:
    """The status and the answer. Raises Failure when the command is refused, unless the thing exists already."""
    status, done = await client.post(path, body, f"{PROJECT}{path}/{body.get('account', '')}")
    if status in (HTTPStatus.OK, HTTPStatus.CREATED) or done.code == "already_exists":
        return status, done
    raise Failure(f"POST {path} answers {status}: {done.detail}")


def draw(calendar: _Calendar, console: Console) -> None:
    """Shows a bar for each day: the available cores, of those granted."""
    console.print(f"\n{PROJECT}: cores available, of {GRANTED}, at position {calendar.position}\n", markup=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("day")
    table.add_column("cores", justify="right")
    table.add_column("")
    for block in calendar.blocks:
        free = block.available["min"]["cores"]
        table.add_row(block.start[:10], str(free), f"[green]{'█' * free}[/green][dim]{'░' * (GRANTED - free)}[/dim]")
    console.print(table)
