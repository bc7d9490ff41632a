"""Subscribers: server-sent events, two kinds of consumer on NATS, and a webhook. Each checks what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import deque
from typing import Any

import msgspec
import nats
import nats.errors
from aiohttp import ClientError, ClientSession, ClientTimeout, web
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.jetstream import NATS_LOST, STREAM, leave
from tests.torture.record import Record

AGAIN_S = 0.3
REMEMBERED = 2000
QUIET = ClientTimeout(total=None, sock_connect=2, sock_read=25)  # a heartbeat comes every 15 s
MARK = b'"event":'


class Place:
    """How far a subscriber is, and a hash over everything up to there.

    `orderly`: the events come in order. Otherwise a later one may come before an earlier one that is delivered again.
    `once`: none comes twice.
    """

    def __init__(self, name: str, record: Record, *, orderly: bool = True, once: bool = False) -> None:
        self.name, self._record, self._orderly, self._once = name, record, orderly, once
        self.position = self.repeated = 0
        self._hash = hashlib.sha256()
        self._ahead: dict[int, bytes] = {}
        self._newest: deque[tuple[int, bytes]] = deque(maxlen=REMEMBERED)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def told(self, position: int, data: bytes) -> None:
        leaf = hashlib.sha256(data).digest()
        if position <= self.position or position in self._ahead:
            self._again(position, leaf)
            return
        if self._orderly and position != self.position + 1:
            self._record.fail(f"{self.name}: after {self.position} came {position}")
        self._ahead[position] = leaf
        while (following := self._ahead.pop(self.position + 1, None)) is not None:
            self.position += 1
            self._hash.update(following)
            self._newest.append((self.position, following))

    def _again(self, position: int, leaf: bytes) -> None:
        self.repeated += 1
        if self._once:
            self._record.fail(f"{self.name}: {position} came twice")
        known = dict(self._newest) | self._ahead
        if known.get(position, leaf) != leaf:
            self._record.fail(f"{self.name}: {position} came again, and was another")


def digest_of(datas: list[bytes]) -> str:
    """The digest of a place that was told all of these."""
    whole = hashlib.sha256()
    for data in datas:
        whole.update(hashlib.sha256(data).digest())
    return whole.hexdigest()


async def follow_sse(url: str, http: ClientSession, place: Place) -> None:
    """`GET /events/stream`, connected again with the last id after every loss."""
    while True:
        with contextlib.suppress(ClientError, OSError):
            headers = {"Last-Event-ID": str(place.position)}
            async with http.get(f"{url}/events/stream", headers=headers, timeout=QUIET) as answer:
                if answer.status == 200:
                    await _read_sse(answer.content, place)
        await asyncio.sleep(AGAIN_S)


async def _read_sse(lines: Any, place: Place) -> None:
    async for line in lines:
        if line.startswith(b"data: ") and MARK in line:
            text = line[6:].rstrip(b"\n")
            position = msgspec.json.decode(text)["position"]
            place.told(position, text.partition(MARK)[2][:-1])


async def follow_durable(url: str, name: str, place: Place) -> None:
    """A durable consumer: the server remembers what was acknowledged. It may deliver again, and then out of order."""

    async def serve(client: Client) -> None:
        context = client.jetstream()
        config = ConsumerConfig(durable_name=name, ack_policy=AckPolicy.EXPLICIT, ack_wait=5)
        await context.add_consumer(STREAM, config)  # as it was, if it is there
        subscription = await context.pull_subscribe_bind(name, stream=STREAM)
        while True:
            with contextlib.suppress(TimeoutError):
                for message in await subscription.fetch(100, timeout=2):
                    place.told(message.metadata.sequence.stream, message.data)
                    await message.ack()

    await _connected_again(url, serve)


async def follow_position(url: str, place: Place) -> None:
    """Its own position: after a loss, a new consumer that begins after it. In order, and each once."""

    async def serve(client: Client) -> None:
        context = client.jetstream()
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=place.position + 1,
            inactive_threshold=30,
            mem_storage=True,
        )
        made = await context.add_consumer(STREAM, config)
        subscription, expected = await context.pull_subscribe_bind(made.name, stream=STREAM), 1
        while True:
            with contextlib.suppress(TimeoutError):
                for message in await subscription.fetch(100, timeout=2):
                    if message.metadata.sequence.consumer != expected:
                        return  # one was lost on the way
                    expected += 1
                    place.told(message.metadata.sequence.stream, message.data)
            await context.consumer_info(STREAM, made.name)  # raises when it is gone

    await _connected_again(url, serve)


async def _connected_again(url: str, serve: Any) -> None:
    while True:
        client: Client | None = None
        with contextlib.suppress(*NATS_LOST):
            client = await nats.connect(url.split(","), allow_reconnect=False, connect_timeout=2, error_cb=_ignored)
            await serve(client)
        if client is not None:
            await leave(client)
        await asyncio.sleep(AGAIN_S)


async def _ignored(_: Exception) -> None:
    pass


class Receiver:
    """Takes the calls of a webhook."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def handle(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        position = int(request.headers["webhook-id"].removeprefix("evt_"))
        self._place.told(position, body.partition(MARK)[2][:-2])
        return web.Response()


@contextlib.asynccontextmanager
async def receiving(place: Place, port: int) -> Any:
    runner = web.ServerRunner(web.Server(Receiver(place).handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()
