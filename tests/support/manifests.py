"""The manifests of deploy/kubernetes: rendered by kubectl, and read as a cluster would read them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, NamedTuple

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
KUBECTL = Path(sys.executable).parent / "kubectl"
PODS_OF = ("Deployment", "StatefulSet", "Job")
NAME = "app.kubernetes.io/name"
VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")

Document = dict[str, Any]


@cache
def rendered(folder: Path) -> list[Document]:
    """What `kubectl kustomize` makes of a folder."""
    command = [str(KUBECTL), "kustomize", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert made.returncode == 0, made.stderr
    return list(yaml.load_all(made.stdout, yaml.CSafeLoader))


def write_everything(folder: Path, overlay: str) -> Path:
    """A kustomization in `folder`, of an overlay with all components."""
    has = yaml.safe_load((KUBERNETES / "overlays" / overlay / "kustomization.yaml").read_text())["components"]
    more = sorted({path.name for path in (KUBERNETES / "components").iterdir()} - {Path(name).name for name in has})
    text = {
        "kind": "Kustomization",
        "namespace": "hourbook",
        "resources": [os.path.relpath(KUBERNETES / "overlays" / overlay, folder)],
        "components": [os.path.relpath(KUBERNETES / "components" / name, folder) for name in more],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return folder


@cache
def made_secrets() -> dict[str, dict[str, str]]:
    """The values of the secrets that secrets.sh prints, by name."""
    made = subprocess.run(
        ["sh", str(KUBERNETES / "secrets.sh")], capture_output=True, text=True, check=True, timeout=60
    )
    return {one["metadata"]["name"]: one["stringData"] for one in yaml.safe_load_all(made.stdout) if one}


class Workload(NamedTuple):
    """Something that runs pods. `name` is without `hourbook-`."""

    kind: str
    name: str
    replicas: int
    pod: Document

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.pod["metadata"]["labels"]
        return labels

    @property
    def spec(self) -> Document:
        spec: Document = self.pod["spec"]
        return spec

    @property
    def containers(self) -> list[Document]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def main(self) -> Document:
        """The container of the program."""
        (container,) = self.spec["containers"]
        return dict(container)


def workloads(documents: Iterable[Document]) -> dict[str, Workload]:
    """By name, without `hourbook-`."""
    found = [
        Workload(
            one["kind"],
            one["metadata"]["name"].removeprefix("hourbook-"),
            one["spec"].get("replicas", 1),
            one["spec"]["template"],
        )
        for one in documents
        if one["kind"] in PODS_OF
    ]
    return {one.name: one for one in found}


def of_kind(documents: Iterable[Document], kind: str) -> list[Document]:
    return [one for one in documents if one["kind"] == kind]


def named_secrets(value: Any) -> Iterator[tuple[str, str | None]]:
    """The name of each secret that a pod must have, and the key in it; None: all of them."""
    if isinstance(value, list):
        for one in value:
            yield from named_secrets(one)
    elif isinstance(value, dict) and not value.get("optional"):
        for kind, one in value.items():
            if kind == "secretKeyRef":
                yield one["name"], one["key"]
            elif kind in ("secret", "secretRef") and not one.get("optional"):
                name = one.get("secretName") or one["name"]
                yield from ((name, item["key"]) for item in one["items"]) if "items" in one else [(name, None)]
            elif kind != "secret":
                yield from named_secrets(one)


def environment_of(
    workload: Workload, container: Document, documents: Iterable[Document], secrets: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """The environment of a container. As in a cluster, `$(NAME)` is a variable that stands before it in the list; what
    is no such variable stays as it is."""
    maps = {one["metadata"]["name"]: one["data"] for one in of_kind(documents, "ConfigMap")}
    values: dict[str, str] = {}
    for source in container.get("envFrom", []):
        values |= secrets[source["secretRef"]["name"]]
    for one in container.get("env", []):
        values[one["name"]] = value_of(workload, one, maps, secrets, values)
    return values


def value_of(
    workload: Workload,
    variable: Document,
    maps: Mapping[str, Mapping[str, str]],
    secrets: Mapping[str, Mapping[str, str]],
    before: Mapping[str, str],
) -> str:
    if "value" in variable:
        return VARIABLE.sub(lambda found: before.get(found[1], found[0]), str(variable["value"]))
    ((kind, source),) = variable["valueFrom"].items()
    if kind == "configMapKeyRef":
        return maps[source["name"]][source["key"]]
    if kind == "secretKeyRef":
        return secrets[source["name"]][source["key"]]
    path = source["fieldPath"]
    if path == "metadata.name":
        return f"hourbook-{workload.name}-0"
    return workload.labels[path.removeprefix("metadata.labels['").removesuffix("']")]


class Policies:
    """The network policies, asked whether a connection may be made. A pod is given by its labels."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self.specs = [one["spec"] for one in of_kind(documents, "NetworkPolicy")]

    def connects(self, source: Mapping[str, str], target: Mapping[str, str], port: int) -> bool:
        """From pod to pod: the one must be let out, and the other must let it in."""
        return self.lets(source, "egress", "to", target, port) and self.lets(target, "ingress", "from", source, port)

    def leaves_to(self, source: Mapping[str, str], address: str, port: int) -> bool:
        return self.lets(source, "egress", "to", address, port)

    def lets_in_from(self, namespace: str, target: Mapping[str, str], port: int) -> bool:
        labels = {"kubernetes.io/metadata.name": namespace}
        return self.lets(target, "ingress", "from", labels, port, "namespaceSelector")

    def lets(
        self,
        pod: Mapping[str, str],
        way: str,
        peers: str,
        other: Mapping[str, str] | str,
        port: int,
        selector: str = "podSelector",
    ) -> bool:
        mine = [
            spec for spec in self.specs if way.capitalize() in spec["policyTypes"] and selects(spec["podSelector"], pod)
        ]
        rules = [rule for spec in mine for rule in spec.get(way, [])]
        return not mine or any(
            port in [one["port"] for one in rule["ports"]]
            and any(is_peer(peer, other, selector) for peer in rule[peers])
            for rule in rules
        )


def is_peer(peer: Document, other: Mapping[str, str] | str, selector: str) -> bool:
    if isinstance(other, str):
        block = peer.get("ipBlock")
        return (
            block is not None
            and within(other, block["cidr"])
            and not any(within(other, one) for one in block.get("except", []))
        )
    return set(peer) == {selector} and selects(peer[selector], other)


def within(address: str, network: str) -> bool:
    return ip_address(address) in ip_network(network)


def selects(selector: Document, labels: Mapping[str, str]) -> bool:
    """Whether a selector takes a pod with these labels."""
    for one in selector.get("matchExpressions", []):
        assert one["operator"] == "In"
        if labels.get(one["key"]) not in one["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()
