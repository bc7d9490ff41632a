"""A command whose answer is lost: it is sent again with the same key, and its outcome is never guessed."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import pytest
from aiohttp import ServerDisconnectedError

from services.cli.client import Client, CommandAnswer
from services.cli.failure import Failure
from services.cli.people import ledger
from services.cli.people.ledger import Ledger
from services.cli.people.times import clock_of

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{"id":"x"}'
KEY = re.compile(rb"Idempotency-Key: (\S+)")


class Losing:
    """A server that takes a request and says nothing, `losses` times; then it answers."""

    def __init__(self, losses: int) -> None:
        self._losses, self.keys, self.heads = losses, list[bytes](), 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.keys += KEY.findall(head)
        self.heads += 1
        if len(self.keys) > self._losses:
            writer.write(ANSWER)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def asking(server: Losing, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    monkeypatch.setattr(ledger, "TRY_AGAIN_S", 0.01)
    async with await asyncio.start_server(server.take, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with Client(f"http://127.0.0.1:{port}", "ada", credential={}) as client:
            yield Ledger(client, clock_of("UTC"), None)


async def test_a_command_without_an_answer_is_sent_again_with_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Losing(2)
    async with asking(server, monkeypatch) as ledger_:
        answer = await ledger_.send("/bookings/create", {}, "one-key")
    assert answer.document == {"id": "x"}
    assert server.keys == [b"one-key"] * 3


@pytest.mark.parametrize(("key", "sent"), [("one-key", 3), (None, 1)])
async def test_a_command_of_a_program_is_sent_again_only_if_it_has_a_key(key: str | None, sent: int) -> None:
    server = Losing(2)
    async with await asyncio.start_server(server.take, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with Client(url, "ada", try_again_s=0.01, credential={}) as client:
            with pytest.raises(ServerDisconnectedError) if key is None else nullcontext():
                assert await client.post("/projects/create", {}, key) == (200, CommandAnswer(id="x"))
    assert server.heads == sent


async def test_an_outcome_that_stays_unknown_is_said_with_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Losing(100)
    async with asking(server, monkeypatch) as ledger_:
        with pytest.raises(Failure, match=r"the outcome is not known.*--key one-key"):
            await ledger_.send("/bookings/create", {}, "one-key")
    assert set(server.keys) == {b"one-key"}
