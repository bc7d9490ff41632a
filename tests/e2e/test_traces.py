"""Traces as a collector gets them, of the services as processes."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import nats
import pytest
from nats.js.errors import NotFoundError

from tests.support.collector import Collector, Seen, collecting
from tests.support.running import Running
from tests.support.system import System

TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def traceparent() -> tuple[str, str, dict[str, str]]:
    """The ids of a trace and of a client's span, and the header that says so."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, {"traceparent": f"00-{trace}-{span}-01"}


def post(url: str, project: str, headers: dict[str, str]) -> httpx.Response:
    body = {"id": project, "name": project}
    answer = httpx.post(f"{url}/projects/create", json=body, headers=headers, timeout=TIMEOUT_S)
    assert answer.status_code == 201, answer.text
    return answer


def get(url: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=TIMEOUT_S)


def way(spans: dict[str, Seen], name: str) -> list[str]:
    """The names of the spans from `name` up to the client's."""
    by_id = {span.id: span for span in spans.values()}
    found, span = [name], spans[name]
    while span.parent in by_id:
        span = by_id[span.parent]
        found.append(span.name)
    return found


async def test_one_request_is_one_trace_until_it_is_visible(collector: Collector, tmp_path: Path) -> None:
    trace, client, headers = traceparent()
    environment = collector.environment | {"HOURBOOK_LOG_FORMAT": "json"}
    data = tmp_path / "data"
    with Running(tmp_path / "output", "--data-dir", str(data), **environment) as up:
        answer = post(up.url, "gaia", headers | {"X-Request-Id": "ada.1"})
        position = answer.json()["position"]
        read = get(f"{up.url}/projects?min_position={position}", headers)
        reads, available = [], "/available/select?project=gaia&range=2086-01-01,2086-01-02"
        for _ in range(2):
            one, _, of_read = traceparent()
            reads.append(one)
            assert get(f"{up.url}{available}", of_read).status_code == 200
        passed_on, of_client, of_health = traceparent()
        assert get(f"{up.url}/health/command", of_health).status_code == 200
        spans = collector.wait(trace, "fold", "publish HOURBOOK", "queue", "GET /projects")
    assert (answer.headers["X-Request-Id"], read.status_code) == ("ada.1", 200)
    assert way(spans, "fold") == ["fold", "visible", "append", "POST /projects/create"]
    assert way(spans, "publish HOURBOOK") == ["publish HOURBOOK", "append", "POST /projects/create"]
    assert way(spans, "queue") == ["queue", "POST /projects/create"]
    assert spans["POST /projects/create"].parent == client
    services = {span.name: span.service for span in spans.values()}
    assert services["append"] == services["publish HOURBOOK"] == services["POST /projects/create"] == "hourbook-command"
    assert (services["visible"], services["GET /projects"]) == ("hourbook-projector", "hourbook-query")
    assert spans["POST /projects/create"].attributes["hourbook.call"] == "ada.1"
    assert spans["visible"].attributes["hourbook.position"] == position
    assert spans["visible"].began_ns >= spans["POST /projects/create"].began_ns
    made, cached = (collector.wait(one, "GET /available/select") for one in reads)
    view = next(name for name in made if name.startswith("view "))
    assert way(made, view) == [view, "GET /available/select"]
    through = collector.wait(passed_on, "GET", "GET /health")  # a request that the gateway passes on
    assert way(through, "GET /health") == ["GET /health", "GET"]
    assert (through["GET"].parent, through["GET"].service) == (of_client, "hourbook-gateway")
    assert [name for name in made if name.startswith("SELECT")]
    assert cached["GET /available/select"].attributes["hourbook.answer"] == "cache"
    assert not [name for name in cached if name.startswith("view")]
    told = json.dumps([span.attributes for one in (trace, *reads) for span in collector.of(one)])
    assert "gaia" not in told  # no path, no argument of a statement
    for service in ("command", "projector", "query", "notify", "sealer"):
        lines = (data / f"logs/{service}.log").read_text().splitlines()
        assert [json.loads(line)["service"] for line in lines] == [service] * len(lines)


async def headers_of(system: System, position: int) -> dict[str, str]:
    client = await nats.connect(system.nats.url)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                with contextlib.suppress(NotFoundError):
                    message = await client.jetstream().get_msg("HOURBOOK", position)
                    return {name.lower(): value for name, value in (message.headers or {}).items()}
                await asyncio.sleep(0.05)
    finally:
        await client.close()


async def test_a_group_commit_links_its_requests_and_a_relay_of_another_process_goes_on_with_their_traces(
    collector: Collector, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    with system.command() as untraced:
        position = post(untraced.url, "untraced", traceparent()[2]).json()["position"]
        assert not [name for name in await headers_of(system, position) if "trace" in name]
    for name, value in collector.environment.items():
        monkeypatch.setenv(name, value)
    with system.command() as leading:
        position = post(leading.url, "leading", traceparent()[2]).json()["position"]
        await headers_of(system, position)  # so it leads
        before = len(collector.spans)
        with system.projector(), system.command() as other, ThreadPoolExecutor(16) as threads:
            given = [traceparent() for _ in range(16)]
            list(threads.map(lambda number: post(other.url, f"p{number}", given[number][2]), range(16)))
            for trace, _, _ in given:
                collector.wait(trace, "publish HOURBOOK", "visible")
    traces = [collector.wait(trace, "fold", "append", "POST /projects/create") for trace, _, _ in given]
    for spans, (_, client, _) in zip(traces, given, strict=True):
        assert way(spans, "fold") == ["fold", "visible", "append", "POST /projects/create"]
        assert way(spans, "publish HOURBOOK") == ["publish HOURBOOK", "append", "POST /projects/create"]
        assert spans["POST /projects/create"].parent == client
    commits = {span.id: span for span in collector.spans[before:] if span.name == "group commit"}
    assert max(len(commit.links) for commit in commits.values()) > 1
    for spans in traces:
        (commit,) = spans["append"].links
        assert spans["POST /projects/create"].id in commits[commit].links


async def test_a_message_carries_the_trace_of_its_request_and_one_that_is_not_sampled_leaves_no_span(
    collector: Collector, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in collector.environment.items():
        monkeypatch.setenv(name, value)
    trace, client, _ = traceparent()
    with system.command() as command:
        quiet = post(command.url, "quiet", {"traceparent": f"00-{trace}-{client}-00"})
        loud, _, headers = traceparent()
        position = post(command.url, "loud", headers).json()["position"]
        publish = collector.wait(loud, "publish HOURBOOK")["publish HOURBOOK"]
        stored = await headers_of(system, position)
        assert stored["traceparent"] == stored["ce-traceparent"] == f"00-{loud}-{publish.id}-01"
        assert "traceparent" not in await headers_of(system, quiet.json()["position"])
    assert collector.of(trace) == []
