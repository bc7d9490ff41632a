"""What a service tells an operator's Prometheus. Counting a request is one entry in a dictionary; all else is made when
it is asked for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from shared import postgres
from shared.postgres import LOST_OR_REFUSED
from shared.progress import Progress, read_progress

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
READ_TIMEOUT_S = 2.0
READ_AGAIN_S = 1.0  # however often it is asked, the database is asked once a second
BATCH_EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
BATCH_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# /metrics must answer, so these count as well: the address of the database is wrong (ValueError), it is not migrated
# (LookupError), or an event in it is none (MsgspecError).
UNREADABLE = (*LOST_OR_REFUSED, LookupError, ValueError, msgspec.MsgspecError)

Observe = Callable[[int, float], None]


class Telemetry(Collector):
    """One a process: its requests, its batches, and, in every service, how far the store and the read models are."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._progress: Progress | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    async def count(self, message: Any, scope: Any) -> None:
        """Litestar's `before_send`: an answer that leaves. The path is the route's, so that ids make no new series."""
        if message["type"] == "http.response.start":
            self._requests[scope["method"], scope.get("path_template") or "", message["status"]] += 1

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """A figure that is read whenever it is asked for."""
        Gauge(f"hourbook_{name}", meaning, registry=self._registry).set_function(read)

    def batches(self, name: str, what: str) -> Observe:
        """What to call after each batch, with its events and its seconds."""
        registry = self._registry
        events = Histogram(f"hourbook_{name}_events", f"Events of {what}", registry=registry, buckets=BATCH_EVENTS)
        seconds = Histogram(f"hourbook_{name}_seconds", f"Time of {what}", registry=registry, buckets=BATCH_SECONDS)

        def observe(count: int, duration_s: float) -> None:
            events.observe(count)
            seconds.observe(duration_s)

        return observe

    async def render(self) -> bytes:
        """The text of /metrics. It has no figures of the database while that cannot be read."""
        await self.progress()
        return generate_latest(self._registry)

    async def progress(self) -> Progress | None:
        """How far all is, as it was a second ago at most; None while the database cannot be read."""
        async with self._reading:
            if time.monotonic() - self._read_at > READ_AGAIN_S:
                self._progress = await self._read()
                self._read_at = time.monotonic()
        return self._progress

    async def _read(self) -> Progress | None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                connection = await postgres.connect(self._database_url, timeout=READ_TIMEOUT_S)
                try:
                    return await read_progress(connection)
                finally:
                    connection.terminate()
        except UNREADABLE:
            return None

    def collect(self) -> Iterator[Metric]:
        yield from progress_metrics(self._progress, time.time())
        requests = CounterMetricFamily(
            "hourbook_http_requests", "Requests answered", labels=("method", "path", "status")
        )
        for (method, path, status), count in sorted(self._requests.items()):
            requests.add_metric((method, path, str(status)), count)
        yield requests


def progress_metrics(progress: Progress | None, now_s: float) -> Iterator[Metric]:
    """`now_s` is the time since 1970; what is not known is left out."""
    figures: list[tuple[str, str, float | None]] = [
        ("store_up", "1 when the database could be read for this answer", float(progress is not None))
    ]
    if progress is not None:
        moved = None if progress.moved_s is None else now_s - progress.moved_s
        told = None if progress.told_s is None else now_s - progress.told_s
        lag_s = 0.0 if progress.behind == 0 else progress.oldest_s
        parked = progress.parked_position or 0
        figures += [
            ("head_position", "Position of the newest event", progress.head),
            ("sealed_position", "Position up to which a checkpoint of the audit tree is signed", progress.sealed),
            ("checkpoint_position", "Position up to which the live read models are made", progress.position),
            ("checkpoint_moved_timestamp_seconds", "When the checkpoint moved last, since 1970", moved),
            ("lag_events", "Events that the live read models have not applied", progress.behind),
            ("lag_seconds", "Age of the oldest event that the live read models have not applied; 0: none", lag_s),
            ("parked_position", "Position of the event that cannot be applied and stops it; 0: none", parked),
            ("generation", "Number of the live generation of the read models", progress.generation),
            ("past_position", "Position up to which the past is kept for as_of", progress.past),
            ("index_position", "Position up to which the history can be searched by index", progress.indexed),
            ("notice_position", "Position up to which notices account for the events", progress.noticed),
            ("notices_told_timestamp_seconds", "Up to when what time brings has been told, since 1970", told),
            ("notices_unpublished", "Notices that wait for their stream", progress.unpublished),
            ("webhook_position", "Where the webhook of events that is furthest behind stands", progress.delivered),
            ("webhook_notices", "Notices that the webhook furthest behind has not got", progress.notices_undelivered),
            ("webhooks_disabled", "Webhooks whose receiver wants no more", progress.webhooks_disabled),
            ("webhook_dead_letters", "Messages that webhooks could not be brought", progress.dead_letters),
        ]
    for name, meaning, figure in figures:
        if figure is not None:
            yield GaugeMetricFamily(f"hourbook_{name}", meaning, value=figure)
