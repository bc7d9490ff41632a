"""Subscribers of an embedded NATS server, and what a hostile user of NATS tries."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client

from services.cli.subscribers.commands import create_at
from services.cli.subscribers.places import Embedded
from services.cli.up.directory import Process
from services.cli.up.embedded_nats import EmbeddedNats, new_password
from services.cli.up.processes import started_at
from shared.jetstream import leave
from shared.nats_access.users import STREAMS
from tests.support.backends import Nats

TRY_S = 0.5


def embedded(server: Nats) -> Embedded:
    """The server, as `hourbook subscriber` sees it. Skips the test when the server's users are not ours to make."""
    if not isinstance(server, EmbeddedNats):
        pytest.skip("needs an embedded NATS server")
    assert server.process is not None
    return Embedded(server.files, Process(server.process.pid, started_at(server.process.pid)), server.port)


async def make_subscriber(server: Nats, name: str, *projects: str) -> str:
    """A new subscriber of these projects; of all when there are none. Returns its address."""
    return await create_at(embedded(server), name, projects, new_password())


@contextlib.asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Client]:
    """A connection that ignores what the server refuses: the tests look at what has happened."""

    async def ignored(_: Exception) -> None:
        pass

    client = Client()
    try:
        await client.connect(url, error_cb=ignored, allow_reconnect=False, **options)
        yield client
    finally:
        await leave(client)


async def ask(client: Client, subject: str, body: Any = None) -> dict[str, Any] | None:
    """The answer to a request of JetStream; None when there is none."""
    data = b"" if body is None else json.dumps(body).encode()
    try:
        return dict(json.loads((await client.request(subject, data, timeout=TRY_S)).data or b"{}"))
    except (nats.errors.Error, TimeoutError, ValueError):
        return None


HARMFUL = [
    (f"STREAM.{kind}.{stream}", body)
    for stream in STREAMS
    for kind, body in (
        ("PURGE", None),
        ("PURGE", {"filter": ">"}),
        ("MSG.DELETE", {"seq": 1}),
        ("MSG.DELETE", {"seq": 1, "no_erase": True}),
        ("DELETE", None),
    )
]
CAPTURING = [
    ("STREAM.CREATE.CAPTURE", {"name": "CAPTURE", "subjects": ["hourbook.events.>"], "no_ack": True}),
    ("STREAM.CREATE.COPY", {"name": "COPY", "mirror": {"name": STREAMS[0]}}),
    ("STREAM.CREATE.COPY", {"name": "COPY", "sources": [{"name": STREAMS[0]}]}),
]


def consuming(deliver: str, **config: Any) -> list[tuple[str, dict[str, Any]]]:
    """Requests that make a consumer of their own, in all forms of the subject."""
    stream, subject = STREAMS[0], "hourbook.events.other.>"
    made = {
        "deliver_policy": "all",
        "ack_policy": "none",
        "filter_subject": subject,
        "deliver_subject": deliver,
        "inactive_threshold": 60_000_000_000,
        **config,
    }
    return [
        (f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": made}),
        (f"CONSUMER.CREATE.{stream}.mine", {"stream_name": stream, "config": made | {"name": "mine"}}),
        (
            f"CONSUMER.CREATE.{stream}.mine.hourbook.events.gaia.>",
            {"stream_name": stream, "config": made | {"name": "mine"}},
        ),
        (
            f"CONSUMER.DURABLE.CREATE.{stream}.mine",
            {"stream_name": stream, "config": made | {"durable_name": "mine", "name": "mine"}},
        ),
    ]


READING = [
    (f"STREAM.MSG.GET.{STREAMS[0]}", {"seq": 2}),
    (f"STREAM.MSG.GET.{STREAMS[0]}", {"last_by_subj": "hourbook.events.other.>"}),
    (f"DIRECT.GET.{STREAMS[0]}", {"seq": 2}),
    (f"DIRECT.GET.{STREAMS[0]}.hourbook.events.other.Tested", None),
    (f"STREAM.INFO.{STREAMS[0]}", {"subjects_filter": ">"}),
]


async def try_all(client: Client, requests: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Sends each request, also under the name that the server gives it inside. Returns the answers that are no
    error."""
    answers = await asyncio.gather(
        *(ask(client, f"{api}.{subject}", body) for subject, body in requests for api in ("$JS.API", "hourbook.api"))
    )
    return [answer for answer in answers if answer is not None and "error" not in answer]
