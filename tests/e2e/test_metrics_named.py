"""The metrics that the alerts and the dashboard read are those that the running services tell."""

import json
import threading
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.collector import collecting
from tests.support.queries import ROOT, metrics_of, queries
from tests.support.running import until
from tests.support.system import Service, System

FOREIGN = {"up", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"}  # Prometheus's own, and its exporter's
DOCUMENT = ROOT / "docs/observing.md"
AUXILIARY = ("_sum", "_count", "_created")  # of a histogram or a counter
# Told only where the query service reads from a standby.
OF_A_STANDBY = {"hourbook_standby_behind_seconds"}
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}


def told(url: str) -> set[str]:
    """The names of the series that a service tells, of those too that have no value yet."""
    answer = httpx.get(f"{url}/metrics", timeout=30)
    assert answer.status_code == 200, answer.text
    return {
        family.name + part
        for family in text_string_to_metric_families(answer.text)
        for part in PARTS.get(family.type, ("",))
    }


def leads(url: str) -> bool:
    """Whether the process leads. The OpenAPI document does not describe the small ports, and httpx compares with it."""
    with closing(HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        connection.request("GET", "/health")
        return bool(json.load(connection.getresponse())["leads"])


class Receiver(BaseHTTPRequestHandler):
    """Accepts deliveries, and keeps their headers."""

    got: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_every_metric_of_the_alerts_and_the_dashboard_is_told_and_a_delivery_is_a_span(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{receiver.server_port}"
    hosts = {"webhook_hosts": host}
    sealer = Service(system, "services.sealer", "sealer_port", {"audit_key_file": str(system.audit_key)})
    notify = Service(system, "services.notify", "notify_port", hosts)
    with collecting() as collector, monkeypatch.context() as environment:
        for name, value in collector.environment.items():
            environment.setenv(name, value)
        with (
            system.command(**hosts) as command,
            system.projector() as projector,
            system.query() as query,
            sealer,
            notify,
        ):
            webhook = {"url": f"http://{host}/hook?secret=hush", "types": ["ProjectCreated"], "notices": True}
            assert httpx.post(f"{command.url}/webhooks", json=webhook, timeout=30).status_code == 201
            body = {"id": "gaia", "name": "Gaia"}
            assert httpx.post(f"{command.url}/projects/create", json=body, timeout=30).status_code == 201
            until(lambda: bool(Receiver.got))
            until(lambda: "hourbook_notices_told_timestamp_seconds" in told(query.url))
            until(lambda: {"hourbook_webhook_position", "hourbook_webhook_notices"} <= told(query.url))
            services = command, projector, query, sealer, notify
            names = set().union(*(told(service.url) for service in services))
            ours = {name for name in names if name.startswith("hourbook_")}
            families = {name.removesuffix("_bucket") for name in ours if not name.endswith(AUXILIARY)}
            deliveries = httpx.get(f"{notify.url}/metrics", timeout=30).text
            states = [leads(service.url) for service in (sealer, notify)]
    receiver.shutdown()
    receiver.server_close()
    missing = [(name, gone) for name, read in queries() if (gone := metrics_of(read) - FOREIGN - OF_A_STANDBY - names)]
    assert missing == []
    standby = (ROOT / "services/query/app.py").read_text()
    assert [name for name in OF_A_STANDBY if f'"{name.removeprefix("hourbook_")}"' not in standby] == []
    text = DOCUMENT.read_text()
    assert [name for name in sorted(families) if f"`{name}" not in text] == []
    assert 'hourbook_webhook_deliveries_total{outcome="accepted"} 1.0' in deliveries
    assert states == [True, True]
    (delivery,) = [span for span in collector.spans if span.service == "hourbook-notify" and span.name == "POST"]
    assert Receiver.got[0]["traceparent"].startswith(f"00-{delivery.trace}-{delivery.id}-")
    assert delivery.attributes["http.response.status_code"] == 204
    assert "hush" not in str(collector.spans)
