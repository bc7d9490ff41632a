"""The alert rules and the dashboard: each query is read by a parser, each rule fires when it should and not before."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.queries import ALERTS, ROOT, metrics_of, panels, queries, rules

MINUTES = 60
PROMTOOL = shutil.which("promtool")
# The headings of docs/operations.md to which the alerts send people.
RUNBOOK = {
    "a-process-does-not-answer",
    "the-database-cannot-be-read",
    "a-certificate-ends",
    "a-disc-is-full",
    "the-clock",
    "no-command-is-accepted",
    "commands-are-not-stored",
    "the-queue-of-commands-is-full",
    "answers-of-500-and-above",
    "answers-are-slow",
    "refusals-are-dropped",
    "the-stream-is-not-fed",
    "the-stream-was-changed",
    "the-read-models-are-behind",
    "an-event-is-parked",
    "the-past-or-the-index-is-behind",
    "the-sealer-is-behind",
    "the-sealer-refuses-to-sign",
    "a-standby-is-behind",
    "notices-are-late",
    "a-webhook-is-behind",
    "an-issuer-does-not-answer",
    "many-sign-ins-are-refused",
}
SERVICES = ("command", "query", "projector", "sealer", "notify")


def steady(value: float, step: float = 0) -> str:
    """The samples of an hour, one a minute, in promtool's words."""
    return f"{value}+{step}x{MINUTES}" if step else f"{value}x{MINUTES}"


def ending(value: float, step: float, minutes: int) -> str:
    """Samples that grow for `minutes`, and stay."""
    last = value + step * minutes
    return f"{value}+{step}x{minutes} {last}x{MINUTES - minutes}"


# An hour in which all is well: a hundred events a minute, one relay of two leads.
WELL = {
    **{f'up{{job="hourbook",service="{service}",instance="a"}}': steady(1) for service in SERVICES},
    'hourbook_store_up{service="query"}': steady(1),
    'hourbook_history_settled{instance="a"}': steady(1),
    'hourbook_history_settled{instance="b"}': steady(1),
    'hourbook_relay_leads{instance="a"}': steady(1),
    'hourbook_relay_leads{instance="b"}': steady(0),
    'hourbook_relayed_position{instance="a"}': steady(1000, 100),
    'hourbook_relayed_position{instance="b"}': " ".join(["NaN"] * MINUTES),
    "hourbook_relay_trouble_seconds": steady(0),
    'hourbook_stream_differences{instance="a"}': steady(0),
    'hourbook_stream_differences{instance="b"}': " ".join(["NaN"] * MINUTES),
    'hourbook_clock_ahead_seconds{service="command",instance="a"}': steady(-2),
    "hourbook_store_trouble_seconds": steady(0),
    'hourbook_queue_depth{instance="a"}': steady(3),
    'hourbook_queue_limit{instance="a"}': steady(10_000),
    'hourbook_refusals_dropped{instance="a"}': steady(0),
    "hourbook_head_position": steady(1000, 100),
    "hourbook_past_position": steady(990, 100),
    "hourbook_index_position": steady(990, 100),
    "hourbook_sealed_position": steady(990, 100),
    "hourbook_lag_seconds": steady(0.05),
    "hourbook_standby_behind_seconds": steady(0.2),
    "hourbook_parked_position": steady(0),
    "hourbook_announcer_trouble_seconds": steady(0),
    "hourbook_sealer_trouble_seconds": steady(0),
    "hourbook_notices_told_timestamp_seconds": steady(0, 60),
    "hourbook_notices_trouble_seconds": steady(0),
    "hourbook_webhook_position": steady(990, 100),
    "hourbook_webhook_notices": f"0 5x3 0x{MINUTES}",
    "hourbook_webhook_dead_letters": steady(4),
    'hourbook_certificate_expires_timestamp_seconds{use="https",service="query"}': steady(90 * 86400),
    'node_filesystem_avail_bytes{mountpoint="/",fstype="ext4"}': steady(50),
    'node_filesystem_size_bytes{mountpoint="/",fstype="ext4"}': steady(100),
    'hourbook_http_requests_total{service="command",status="200"}': steady(0, 6000),
    'hourbook_http_requests_total{service="command",status="503"}': steady(0, 6),
    'hourbook_http_requests_total{service="query",status="200"}': steady(0, 6000),
    'hourbook_http_requests_total{service="query",status="503"}': steady(0, 6),
    'hourbook_http_request_seconds_bucket{service="query",path="/available/select",le="0.1"}': steady(0, 6000),
    'hourbook_http_request_seconds_bucket{service="query",path="/available/select",le="2.5"}': steady(0, 6010),
    'hourbook_http_request_seconds_bucket{service="query",path="/available/select",le="+Inf"}': steady(0, 6010),
    'hourbook_sign_in_refused_total{service="query",reason="identity_unavailable"}': steady(0),
    'hourbook_sign_in_refused_total{service="query",reason="invalid_credential"}': steady(0, 60),
}
# What is not well, and the alerts that fire within the hour.
WRONG: list[tuple[set[str], dict[str, str]]] = [
    ({"HourbookProcessDown"}, {'up{job="hourbook",service="command",instance="b"}': steady(0)}),
    (
        {"HourbookProcessDown", "HourbookServiceDown"},
        {'up{job="hourbook",service="projector",instance="a"}': steady(0)},
    ),
    ({"HourbookDatabaseUnreadable"}, {'hourbook_store_up{service="query"}': steady(0)}),
    (
        {"HourbookCertificateEnds"},
        {'hourbook_certificate_expires_timestamp_seconds{use="https",service="query"}': steady(0)},
    ),
    ({"HourbookDiscFull"}, {'node_filesystem_avail_bytes{mountpoint="/",fstype="ext4"}': steady(9)}),
    ({"HourbookClockWrong"}, {'hourbook_clock_ahead_seconds{service="command",instance="a"}': steady(-61)}),
    ({"HourbookCommandsNotStored"}, {"hourbook_store_trouble_seconds": steady(0, 60)}),
    ({"HourbookNoCommandAccepted"}, {'hourbook_history_settled{instance="b"}': steady(0)}),
    ({"HourbookQueueFull"}, {'hourbook_queue_depth{instance="a"}': steady(9000)}),
    ({"HourbookServerErrors"}, {'hourbook_http_requests_total{service="query",status="503"}': steady(0, 120)}),
    (
        {"HourbookSlow"},
        {
            'hourbook_http_request_seconds_bucket{service="query",path="/available/select",le="0.1"}': steady(0, 3000),
            'hourbook_http_request_seconds_bucket{service="query",path="/available/select",le="2.5"}': steady(0, 6000),
        },
    ),
    ({"HourbookRefusalsDropped"}, {'hourbook_refusals_dropped{instance="a"}': ending(0, 1, 55)}),
    ({"HourbookStreamNotFed"}, {'hourbook_relayed_position{instance="a"}': ending(1000, 100, 50)}),
    ({"HourbookStreamNotFed"}, {"hourbook_relay_trouble_seconds": steady(0, 60)}),
    ({"HourbookStreamNotFed"}, {'hourbook_relay_leads{instance="a"}': steady(0)}),
    ({"HourbookStreamChanged"}, {'hourbook_stream_differences{instance="a"}': ending(0, 1, 1)}),
    ({"HourbookReadModelsBehind"}, {"hourbook_lag_seconds": steady(31)}),
    ({"HourbookStandbyBehind"}, {"hourbook_standby_behind_seconds": steady(31)}),
    ({"HourbookEventParked"}, {"hourbook_parked_position": steady(17)}),
    ({"HourbookPastBehind"}, {"hourbook_past_position": ending(990, 100, 30)}),
    ({"HourbookPastBehind"}, {"hourbook_index_position": ending(990, 100, 30)}),
    ({"HourbookSealerBehind"}, {"hourbook_sealed_position": ending(990, 100, 40)}),
    ({"HourbookSealerRefuses"}, {"hourbook_sealer_trouble_seconds": steady(0, 60)}),
    ({"HourbookCheckpointsNotPublished"}, {"hourbook_announcer_trouble_seconds": steady(0, 60)}),
    ({"HourbookNoticesLate"}, {"hourbook_notices_told_timestamp_seconds": steady(-7500)}),
    ({"HourbookNoticesLate"}, {"hourbook_notices_trouble_seconds": steady(0, 60)}),
    ({"HourbookWebhookBehind"}, {"hourbook_webhook_position": ending(990, 100, 10)}),
    ({"HourbookWebhookBehind"}, {"hourbook_webhook_notices": steady(1)}),
    ({"HourbookDeadLetters"}, {"hourbook_webhook_dead_letters": ending(4, 1, 50)}),
    (
        {"HourbookIssuerUnreachable"},
        {'hourbook_sign_in_refused_total{service="query",reason="identity_unavailable"}': steady(0, 60)},
    ),
    (
        {"HourbookSignInRefused"},
        {'hourbook_sign_in_refused_total{service="query",reason="invalid_credential"}': steady(0, 600)},
    ),
]


def test_every_query_is_promql_and_reads_a_metric() -> None:
    for name, query in queries():
        assert metrics_of(query), name


def test_every_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        notes = rule["annotations"]
        assert all(notes[name] for name in ("summary", "description")), rule["alert"]
        page, _, heading = notes["runbook"].partition("#")
        assert (page, heading in RUNBOOK) == ("docs/operations.md", True), rule["alert"]
    assert {rule["annotations"]["runbook"].partition("#")[2] for rule in rules()} == RUNBOOK


def test_the_runbook_has_a_heading_for_each_alert() -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert anchors >= RUNBOOK


def test_the_document_about_observing_names_every_alert() -> None:
    text = (ROOT / "docs/observing.md").read_text()
    assert [rule["alert"] for rule in rules() if f"`{rule['alert']}`" not in text] == []


def test_the_panels_have_names_and_ids_of_their_own_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in panels()}) == len({panel["title"] for panel in panels()}) == len(panels())
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels())
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))


def promtool(*arguments: str) -> None:
    if PROMTOOL is None:
        pytest.skip("there is no promtool: it is a part of Debian's package `prometheus`, and of Prometheus's releases")
    ended = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_prometheus_takes_the_rules_and_its_configuration() -> None:
    promtool("check", "rules", str(ALERTS))
    promtool("check", "config", str(ALERTS.with_name("prometheus.yaml")))


def test_each_alert_fires_when_it_should_and_none_while_all_is_well(tmp_path: Path) -> None:
    assert set().union(*(fired for fired, _ in WRONG)) == {rule["alert"] for rule in rules()}
    tests = [
        {
            "name": ", ".join(sorted(fired)) or "all is well",
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in (WELL | wrong).items()],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"}) > bool 0',
                    "eval_time": f"{MINUTES}m",
                    "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(fired)],
                }
            ],
        }
        for fired, wrong in [(set[str](), dict[str, str]()), *WRONG]
    ]
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", str(file))
