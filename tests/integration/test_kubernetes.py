"""The manifests of deploy/kubernetes: kubectl renders them, Kubernetes' own schemas take them, and they keep the rules
of this project. No cluster runs here."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import msgspec
import pytest
import yaml

from services.cli.main import PARTS
from services.cli.nats_config import cluster_text, text
from services.cli.up.role_files import LINE
from services.command.settings import Settings as CommandSettings
from services.notify.settings import Settings as NotifySettings
from services.projector.settings import Settings as ProjectorSettings
from services.query.settings import Settings as QuerySettings
from services.sealer.settings import Settings as SealerSettings
from shared.audit.notes import load_key
from shared.grants import SERVICES
from shared.identity.auth_file import read_auth_file
from shared.log_format import SETTING as LOG_FORMAT
from shared.nats_access.users import SERVICES as NATS_SERVICES
from shared.nats_server import server_at
from shared.settings import settings_from
from tests.support.manifests import (
    DEPLOY,
    KUBERNETES,
    NAME,
    Document,
    Policies,
    Workload,
    environment_of,
    made_secrets,
    named_secrets,
    of_kind,
    rendered,
    selects,
    workloads,
    write_everything,
)
from tests.unit.test_nats_config import checked

OVERLAYS = ("one", "ha")
OLDEST, NEWEST = "1.31", "1.37"  # docs/kubernetes.md names the oldest
OF_OPERATORS = ("PodMonitor",)  # kinds that Kubernetes itself does not know
# Secrets that the operator makes otherwise: docs/kubernetes.md says how.
GIVEN_SECRETS = {"hourbook-tls"}
SETTINGS: dict[str, type[msgspec.Struct]] = {
    "command": CommandSettings,
    "query": QuerySettings,
    "projector": ProjectorSettings,
    "notify": NotifySettings,
    "sealer": SealerSettings,
}
PORTS = {"command": 8081, "query": 8082, "projector": 8083, "sealer": 8084, "notify": 8085}
WORLD, PRIVATE, ISSUER = "93.184.216.34", "10.1.2.3", "192.0.2.10"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each overlay, and each with all components."""
    found = {name: KUBERNETES / "overlays" / name for name in OVERLAYS}
    for name in OVERLAYS:
        found[f"{name} with everything"] = write_everything(tmp_path_factory.mktemp(name), name)
    return found


@pytest.fixture(params=[*OVERLAYS, *(f"{name} with everything" for name in OVERLAYS)])
def documents(folders: dict[str, Path], request: pytest.FixtureRequest) -> list[Document]:
    return rendered(folders[request.param])


@pytest.fixture(params=OVERLAYS)
def overlay(folders: dict[str, Path], request: pytest.FixtureRequest) -> list[Document]:
    return rendered(folders[request.param])


def of_hourbook(documents: list[Document]) -> list[Workload]:
    return [one for one in workloads(documents).values() if one.labels[NAME] == "hourbook"]


def test_kubernetes_takes_every_document(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    # The package reads the definitions of a version, megabytes of JSON, for every document.
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
    documents = {json.dumps(one): one for folder in folders.values() for one in rendered(folder)}
    for one in documents.values():
        if one["kind"] not in OF_OPERATORS:
            for version in (OLDEST, NEWEST):
                kubernetes_validate.validate(one, version, strict=True)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "hourbook"


@pytest.mark.parametrize("wrong", [{"replica": 2}, {"replicas": "two"}])
def test_a_field_that_kubernetes_does_not_know_is_found(folders: dict[str, Path], wrong: Document) -> None:
    one = next(one for one in rendered(folders["one"]) if one["kind"] == "Deployment")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one | {"spec": one["spec"] | wrong}, OLDEST, strict=True)


def test_what_every_service_needs_is_there(overlay: list[Document]) -> None:
    parts = workloads(overlay)
    assert parts.keys() >= {"gateway", "migrate", "nats", *SERVICES}
    for name in ("gateway", "migrate", *SERVICES):
        assert parts[name].main["args"] == [name]
        assert any(command.endswith(f":{name}") for command in PARTS), f"hourbook {name}"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_with_the_settings_of_its_pod(overlay: list[Document], service: str, tmp_path: Path) -> None:
    pod, secrets = workloads(overlay)[service], made_secrets()
    environment = environment_of(pod, pod.main, overlay, secrets)
    given = {name for name in environment if name.startswith("HOURBOOK_")} - {LOG_FORMAT}
    assert given <= {f"HOURBOOK_{name.upper()}" for name in SETTINGS[service].__struct_fields__}
    assert not [value for value in environment.values() if "$(" in value], "the variable stands after its use"
    settings: Any = settings_from(environment, SETTINGS[service])
    role, password_file = urlsplit(settings.database_url).username, parse_qs(settings.database_url)["passfile"][0]
    login = LINE.fullmatch(secrets[f"hourbook-{service}"]["pgpass"])
    assert login is not None
    assert login[1] == role == f"hourbook_{service}_login"
    assert password_file.rpartition("/")[0] in [mount["mountPath"] for mount in pod.main["volumeMounts"]]
    if (url := getattr(settings, "nats_url", None)) is not None and service != "query":
        options = server_at(url, settings).options()
        assert (options["user"], options["password"]) == (service, secrets["hourbook-nats"][nats_password(service)])
        assert len(options["servers"]) == workloads(overlay)["nats"].replicas
        if hasattr(settings, "stream_replicas"):
            assert (settings.stream_replicas or 1) == len(options["servers"])
    if service == "sealer":  # its port tells figures, and it needs none of the secrets of the auth file
        assert (settings.auth_file, settings.open) == ("", "yes")
    else:
        (tmp_path / "auth.toml").write_text(secrets["hourbook-auth"]["auth.toml"])
        read_auth_file(tmp_path / "auth.toml")
        assert settings.auth_file == "/etc/hourbook/auth/auth.toml"
        assert "/etc/hourbook/auth" in [mount["mountPath"] for mount in pod.main["volumeMounts"]]


def nats_password(service: str) -> str:
    return f"HOURBOOK_NATS_{service.upper()}_PASSWORD"


def test_the_init_container_waits_at_the_database_of_its_service(overlay: list[Document]) -> None:
    for service in SERVICES:
        pod = workloads(overlay)[service]
        password, migrated = pod.spec["initContainers"]
        assert (password["name"], migrated["args"]) == ("password", ["migrate", "--wait"])
        name = "HOURBOOK_DATABASE_URL"
        its, own = (environment_of(pod, one, overlay, made_secrets())[name] for one in (migrated, pod.main))
        assert its == own


def test_migrate_gets_the_password_file_of_every_service(overlay: list[Document]) -> None:
    pod = workloads(overlay)["migrate"]
    environment = environment_of(pod, pod.main, overlay, made_secrets())
    (mount,) = (one for one in pod.main["volumeMounts"] if one["mountPath"] == environment["HOURBOOK_ROLES_DIR"])
    (volume,) = (one for one in pod.spec["volumes"] if one["name"] == mount["name"])
    made = {
        item["path"]: source["secret"]["name"]
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    }
    assert made == {f"{service}/pgpass": f"hourbook-{service}" for service in SERVICES}
    login = made_secrets()["hourbook-migrate"]
    url = urlsplit(environment["HOURBOOK_DATABASE_URL"])
    assert (url.username, url.password) == (login["username"], login["password"])


def test_a_service_listens_where_the_others_ask_it(overlay: list[Document]) -> None:
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind(overlay, "Service")}
    ports = {"gateway": 8080, **PORTS}
    for name in ("command", "query", "projector"):
        settings: Any = SETTINGS[name](database_url="")
        assert getattr(settings, f"{name}_port") == ports[name]
    for name in ("notify", "sealer"):
        pod = workloads(overlay)[name]
        environment = environment_of(pod, pod.main, overlay, made_secrets())
        assert environment[f"HOURBOOK_{name.upper()}_PORT"] == str(ports[name])
        assert pod.main["ports"] == [{"name": "http", "containerPort": ports.pop(name)}]
    for name, port in ports.items():
        pod, service = workloads(overlay)[name], services[f"hourbook-{name}"]
        assert pod.main["ports"] == [{"name": "http", "containerPort": port}]
        assert [(one["port"], one["targetPort"]) for one in service["ports"]] == [(port, "http")]
        assert selects({"matchLabels": service["selector"]}, pod.labels)
    for name in ("command", "query", "projector"):
        gateway = workloads(overlay)["gateway"]
        asked = environment_of(gateway, gateway.main, overlay, made_secrets())[f"HOURBOOK_{name.upper()}_URLS"]
        assert asked == f"http://hourbook-{name}:{ports[name]}"


def test_a_process_is_started_again_only_if_it_does_not_answer_itself(overlay: list[Document]) -> None:
    for pod in of_hourbook(overlay):
        if pod.kind == "Job":
            continue
        kinds = [kind for kind in pod.main if kind.endswith("Probe")]
        assert sorted(kinds) == ["livenessProbe", "readinessProbe", "startupProbe"]
        assert {pod.main[kind]["httpGet"]["path"] for kind in ("livenessProbe", "startupProbe")} == {"/live"}
        health = "/live" if pod.name == "gateway" else "/health"
        assert pod.main["readinessProbe"]["httpGet"]["path"] == health
        assert {pod.main[kind]["httpGet"]["port"] for kind in kinds} == {"http"}


def test_no_pod_may_more_than_it_must(documents: list[Document]) -> None:
    for pod in workloads(documents).values():
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False, "HOURBOOK_COMMAND_PORT would be tcp://…"
        assert pod.spec["securityContext"]["runAsNonRoot"] is True
        assert pod.spec["securityContext"]["runAsUser"] > 0
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys()
        for container in pod.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            assert ":" in container["image"].rpartition("/")[2], "an image without a tag"


def test_every_secret_is_made_or_asked_for(documents: list[Document]) -> None:
    made = made_secrets()
    for pod in workloads(documents).values():
        for name, key in named_secrets(pod.spec):
            assert name in made, name
            assert key is None or key in made[name], (name, key)
    for one in of_kind(documents, "Ingress"):
        assert {tls["secretName"] for tls in one["spec"]["tls"]} <= GIVEN_SECRETS
    page = (KUBERNETES.parents[1] / "docs" / "kubernetes.md").read_text()
    for name in (*GIVEN_SECRETS, "hourbook-database-ca", "hourbook-metrics"):
        assert name in page
    assert not of_kind(documents, "Secret"), "no secret stands in a file of the repository"


def test_each_pod_has_its_own_secrets_only(documents: list[Document], tmp_path: Path) -> None:
    holders: dict[str, set[str]] = {}
    for pod in workloads(documents).values():
        for name, _ in named_secrets(pod.spec):
            holders.setdefault(name, set()).add(pod.name)
    assert holders["hourbook-audit-key"] == {"sealer"}
    assert holders["hourbook-auth"] == {"gateway", "command", "query", "projector", "notify"}
    assert holders["hourbook-migrate"] <= {"migrate", "postgres"}
    assert holders["hourbook-nats"] == {"nats"}
    for service in SERVICES:
        assert holders[f"hourbook-{service}"] == {service, "migrate"}
    (tmp_path / "audit.key").write_text(made_secrets()["hourbook-audit-key"]["audit.key"])
    load_key(tmp_path / "audit.key")


def test_the_passwords_differ() -> None:
    made = [value for values in made_secrets().values() for key, value in values.items() if "assword" in key.lower()]
    made += [made_secrets()[f"hourbook-{service}"]["pgpass"].rpartition(":")[2] for service in SERVICES]
    for service in SERVICES:
        if "nats-password" in (its := made_secrets()[f"hourbook-{service}"]):
            made.remove(its["nats-password"])  # NATS has it, too
    assert len(set(made)) == len(made) == 1 + len(SERVICES) + len(NATS_SERVICES) + 3  # migrate; admin, status, route


def test_each_policy_is_about_pods_that_exist(documents: list[Document]) -> None:
    pods = [pod.labels for pod in workloads(documents).values()]
    for spec in Policies(documents).specs:
        assert any(selects(spec["podSelector"], labels) for labels in pods), spec
        for peer in [
            peer
            for rule in spec.get("egress", []) + spec.get("ingress", [])
            for peer in rule.get("to", []) + rule.get("from", [])
        ]:
            if set(peer) == {"podSelector"} and "app.kubernetes.io/component" in str(peer):
                assert any(selects(peer["podSelector"], labels) for labels in pods), peer


def test_the_ways_between_the_pods_are_open_and_no_others(documents: list[Document]) -> None:
    policies, parts = Policies(documents), workloads(documents)
    ways = {("gateway", "command", 8081), ("gateway", "query", 8082), ("gateway", "projector", 8083)}
    ways |= {(user.name, "nats", 4222) for user in NATS_SERVICES if user.name in SERVICES} | {("nats", "nats", 6222)}
    if "postgres" in parts:
        ways |= {(name, "postgres", 5432) for name in (*SERVICES, "migrate")}
    ports = (8080, *PORTS.values(), 4222, 6222, 8222, 5432)
    found = {
        (one.name, other.name, port)
        for one in parts.values()
        for other in parts.values()
        for port in ports
        if policies.connects(one.labels, other.labels, port)
    }
    assert found == ways


def test_only_the_notifier_reaches_the_world(documents: list[Document]) -> None:
    policies, parts = Policies(documents), workloads(documents)
    asks_issuer = {"command", "query", "projector"} if "to-issuer" in str(documents) else set()
    for name, pod in parts.items():
        for port in (22, 80, 443, 5000, 5432):
            assert policies.leaves_to(pod.labels, WORLD, port) == (name == "notify" and port in (80, 443))
            assert policies.leaves_to(pod.labels, "2606:2800::1", port) == (name == "notify" and port in (80, 443))
            assert not policies.leaves_to(pod.labels, PRIVATE, port)
            assert not policies.leaves_to(pod.labels, "169.254.169.254", port)
        is_issuers = name in asks_issuer or name == "notify"
        assert policies.leaves_to(pod.labels, ISSUER, 443) == is_issuers


def test_prometheus_reads_every_service(folders: dict[str, Path]) -> None:
    documents = rendered(folders["ha with everything"])
    policies, parts = Policies(documents), workloads(documents)
    (monitor,) = of_kind(documents, "PodMonitor")
    for name, port in PORTS.items():
        assert selects(monitor["spec"]["selector"], parts[name].labels)
        assert policies.lets_in_from("monitoring", parts[name].labels, port)


def test_strangers_reach_the_gateway_only(folders: dict[str, Path]) -> None:
    documents = rendered(folders["ha"])
    policies, parts = Policies(documents), workloads(documents)
    for name, pod in parts.items():
        for port in (8080, *PORTS.values(), 4222, 5432):
            assert policies.lets_in_from("ingress-nginx", pod.labels, port) == ((name, port) == ("gateway", 8080))
            assert not policies.lets_in_from("default", pod.labels, port)


def test_what_runs_twice_is_never_stopped_whole(folders: dict[str, Path]) -> None:
    documents = rendered(folders["ha"])
    budgets = [one["spec"] for one in of_kind(documents, "PodDisruptionBudget")]
    for pod in workloads(documents).values():
        its = [spec for spec in budgets if selects(spec["selector"], pod.labels)]
        if pod.kind == "Job":
            assert its == []
            continue
        assert pod.replicas >= 2
        assert [spec["maxUnavailable"] for spec in its] == [1]
        (spread,) = pod.spec["topologySpreadConstraints"]
        assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "DoNotSchedule")
        assert selects(spread["labelSelector"], pod.labels)
    assert workloads(documents)["nats"].replicas == 3


def test_nats_takes_its_configuration(overlay: list[Document], tmp_path: Path) -> None:
    """The configuration that the pod sees, with the environment that it gets."""
    pod = workloads(overlay)["nats"]
    for one in of_kind(overlay, "ConfigMap"):
        for name, content in one["data"].items():
            if name.endswith(".conf"):
                (tmp_path / name).write_text(content)
    for name, content in made_secrets()["hourbook-nats-subscribers"].items():
        (tmp_path / name).write_text(content)
    environment = environment_of(pod, pod.main, overlay, made_secrets())
    answer = checked(tmp_path / "nats.conf", **environment)
    assert answer.returncode == 0, answer.stderr
    accounts, cluster = (tmp_path / "accounts.conf").read_text(), (tmp_path / "cluster.conf").read_text()
    assert accounts.split("\n", 2)[2] == text(False)
    if pod.replicas > 1:
        assert cluster.partition("\n")[2] == cluster_text()
        assert environment["HOURBOOK_NATS_ROUTES"].count("nats://route:p") == pod.replicas
    del environment[nats_password("sealer")]
    assert checked(tmp_path / "nats.conf", **environment).returncode != 0


def test_the_script_of_secrets_says_where_openssl_is_missing() -> None:
    script = KUBERNETES / "secrets.sh"
    answer = subprocess.run(["/bin/sh", str(script)], env={"PATH": ""}, capture_output=True, check=False, timeout=30)
    assert answer.returncode != 0


def test_compose_gives_each_service_settings_that_it_knows_and_writes_to_volumes_only() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for name, kind in SETTINGS.items():
        its = services[name]
        given = {setting for setting in its["environment"] if setting.startswith("HOURBOOK_")}
        known = {f"HOURBOOK_{field.upper()}" for field in kind.__struct_fields__}
        assert given - known <= {"HOURBOOK_WEBHOOK_HOSTS"}  # all have it from one block
        assert its["read_only"] is True
        assert its["cap_drop"] == ["ALL"]
        assert its["mem_limit"]
        if "ports" in its:
            assert f":{PORTS[name]}/live" in its["healthcheck"]["test"][-1]
