"""The queries of the alert rules and of the dashboard, and the metrics that they read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from promql_parser import VectorSelector

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yaml"
DASHBOARD = ROOT / "deploy/grafana/hourbook.json"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Every query, with the name of its alert or panel."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


def metrics_of(query: str) -> set[str]:
    """The metrics that a query reads. Raises ValueError for what is no PromQL."""
    found: set[str] = set()

    def visit(node: Any) -> bool:
        if isinstance(node, VectorSelector):
            assert node.name is not None, query
            found.add(node.name)
        return True

    promql_parser.walk(promql_parser.parse(query), visit)
    return found
