"""The metrics of a service, for Prometheus. A request costs two dictionary entries; all else is read at /metrics."""

from __future__ import annotations

import asyncio
import collections
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
from cryptography.x509 import load_pem_x509_certificate
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from shared import postgres
from shared.postgres import LOST_OR_REFUSED
from shared.progress import Progress, read_progress

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
READ_TIMEOUT_S = 2.0
READ_AGAIN_S = 1.0  # the database is read once a second at most
REQUEST_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BEGAN_KEY = "began"  # in an ASGI scope: when the head of the request was there, by time.perf_counter()
BATCH_EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
BATCH_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# /metrics must answer, so these count as well: the address of the database is wrong (ValueError), it is not migrated
# (LookupError), or an event in it is none (MsgspecError).
UNREADABLE = (*LOST_OR_REFUSED, LookupError, ValueError, msgspec.MsgspecError)

Observe = Callable[[int, float], None]


class Telemetry(Collector):
    """The metrics of one process: its requests, its batches, and the positions of the store and the read models. It
    reads those from the database, unless `database_url` is None."""

    def __init__(self, database_url: str | None) -> None:
        self._database_url = database_url
        self._requests: collections.Counter[tuple[str, str, int]] = collections.Counter()
        self._strangers: collections.Counter[str] = collections.Counter()
        self._durations: dict[tuple[str, str], Durations] = {}
        self._progress: Progress | None = None
        self._certificates: dict[str, str] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    async def count(self, message: Any, scope: Any) -> None:
        """Counts a response: Litestar's `before_send`. The path is that of the route, so ids make no new series."""
        if message["type"] == "http.response.start":
            method, path = scope["method"], scope.get("path_template") or ""
            self._requests[method, path, message["status"]] += 1
            if (began_s := scope.get(BEGAN_KEY)) is not None:
                durations = self._durations.get((method, path))
                if durations is None:
                    durations = self._durations[method, path] = Durations()
                durations.add(time.perf_counter() - began_s)

    def count_stranger(self, code: str) -> None:
        """Counts a request that was answered before the framework saw it, because nobody knows who sent it."""
        self._strangers[code] += 1

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Adds a gauge, whose value is read at every /metrics."""
        Gauge(f"hourbook_{name}", meaning, registry=self._registry).set_function(read)

    def certificate(self, use: str, file: str) -> None:
        """Adds the end of a certificate's validity. `file` has it in PEM, first of all; it is read at every /metrics.
        Does nothing without a file."""
        if file:
            self._certificates[use] = file

    def counter(self, name: str, meaning: str, label: str, values: Sequence[str]) -> Callable[[str], None]:
        """Adds a counter for each of the values of a label. Returns a function that counts one of them."""
        counter = Counter(f"hourbook_{name}", meaning, (label,), registry=self._registry)
        for value in values:
            counter.labels(value)
        return lambda value: counter.labels(value).inc()

    def batches(self, name: str, what: str) -> Observe:
        """Adds two histograms, of events and of seconds. Returns a function to call after each batch with both."""
        registry = self._registry
        events = Histogram(f"hourbook_{name}_events", f"Events of {what}", registry=registry, buckets=BATCH_EVENTS)
        seconds = Histogram(f"hourbook_{name}_seconds", f"Time of {what}", registry=registry, buckets=BATCH_SECONDS)

        def observe(count: int, duration_s: float) -> None:
            events.observe(count)
            seconds.observe(duration_s)

        return observe

    async def render(self) -> bytes:
        """The text of /metrics. Without the database it has only the metrics of the process."""
        await self.progress()
        return generate_latest(self._registry)

    async def progress(self) -> Progress | None:
        """The positions, at most a second old; None while the database cannot be read."""
        async with self._reading:
            if time.monotonic() - self._read_at > READ_AGAIN_S:
                self._progress = await self._read()
                self._read_at = time.monotonic()
        return self._progress

    async def _read(self) -> Progress | None:
        if self._database_url is None:
            return None
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
        if self._database_url is not None:
            yield from progress_metrics(self._progress, time.time())
        requests = CounterMetricFamily(
            "hourbook_http_requests", "Requests answered", labels=("method", "path", "status")
        )
        for (method, path, status), count in sorted(self._requests.items()):
            requests.add_metric((method, path, str(status)), count)
        yield requests
        durations = HistogramMetricFamily(
            "hourbook_http_request_seconds",
            "Time from the head of a request to the head of its answer",
            labels=("method", "path"),
        )
        for (method, path), each in sorted(self._durations.items()):
            durations.add_metric((method, path), buckets=each.cumulated(), sum_value=each.sum_s)
        yield durations
        strangers = CounterMetricFamily(
            "hourbook_sign_in_refused", "Requests refused because their sender is not known", labels=("reason",)
        )
        for code, count in sorted(self._strangers.items()):
            strangers.add_metric((code,), count)
        yield strangers
        ends = GaugeMetricFamily(
            "hourbook_certificate_expires_timestamp_seconds",
            "When a certificate of this service ends, in seconds since 1970; 0: the file cannot be read",
            labels=("use",),
        )
        for use, file in sorted(self._certificates.items()):
            ends.add_metric((use,), expires_s(file))
        yield ends


class Durations:
    """How many requests took up to each bound of REQUEST_SECONDS, or longer, and the sum of their seconds."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts, self.sum_s = [0] * (len(REQUEST_SECONDS) + 1), 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(REQUEST_SECONDS, seconds)] += 1
        self.sum_s += seconds

    def cumulated(self) -> list[tuple[str, float]]:
        """As Prometheus has it: the bound, and how many took up to that."""
        bounds = [*map(floatToGoString, REQUEST_SECONDS), "+Inf"]
        return list(zip(bounds, accumulate(self.counts), strict=True))


def measure_certificates(telemetry: Telemetry, settings: object) -> None:
    """Adds the certificates that a service's settings name: the one with which it serves HTTPS, and the one with which
    it signs in to NATS."""
    for use, name in (("https", "tls_cert_file"), ("nats", "nats_cert_file")):
        telemetry.certificate(use, getattr(settings, name, ""))


def expires_s(file: str) -> float:
    """When the first certificate of a PEM file ends, in seconds since 1970; 0 if there is none."""
    try:
        return load_pem_x509_certificate(Path(file).read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return 0.0


def progress_metrics(progress: Progress | None, now_s: float) -> Iterator[Metric]:
    """The gauges of the positions. `now_s` is the time in seconds since 1970. Unknown values are left out."""
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
            (
                "checkpoint_position",
                "Checkpoint of the live read models: the last event that they contain",
                progress.position,
            ),
            ("checkpoint_moved_timestamp_seconds", "When the checkpoint moved last, in seconds since 1970", moved),
            ("lag_events", "Events that the live read models have not applied", progress.behind),
            ("lag_seconds", "Age of the oldest event that the live read models have not applied; 0: none", lag_s),
            (
                "parked_position",
                "Position of the event that cannot be applied and stops the read models; 0: none",
                parked,
            ),
            ("generation", "Number of the live generation of the read models", progress.generation),
            ("past_position", "Position up to which as_of can be answered", progress.past),
            ("index_position", "Position up to which the history can be searched by index", progress.indexed),
            ("notice_position", "Position up to which notices are made for the events", progress.noticed),
            ("notices_told_timestamp_seconds", "Hour up to which notices are made, in seconds since 1970", told),
            ("notices_unpublished", "Notices that wait for their stream", progress.unpublished),
            ("webhook_position", "Position of the webhook that is furthest behind with events", progress.delivered),
            (
                "webhook_notices",
                "Notices that wait for the webhook that is furthest behind",
                progress.notices_undelivered,
            ),
            (
                "webhooks_disabled",
                "Webhooks that are disabled because their receiver answered 410",
                progress.webhooks_disabled,
            ),
            (
                "webhooks_ended",
                "Webhooks that wait for a manager, because their maker has no right to them any more",
                progress.webhooks_ended,
            ),
            ("webhook_dead_letters", "Messages that could not be delivered to their webhook", progress.dead_letters),
        ]
    for name, meaning, figure in figures:
        if figure is not None:
            yield GaugeMetricFamily(f"hourbook_{name}", meaning, value=figure)
