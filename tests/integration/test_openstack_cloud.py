"""A cloud is asked through openstacksdk, and answers what the importer reads."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.failure import Failure
from services.cli.openstack.cloud import Cloud, NoAnswer, connect
from services.cli.openstack.document import items_in
from tests.support.cloud import FakeCloud, running
from tests.support.openstack import OWNER, cluster, flavor


@pytest.fixture
def fake() -> Iterator[FakeCloud]:
    with running(FakeCloud()) as cloud:
        yield cloud


@pytest.fixture
def cloud(fake: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(fake.clouds_yaml(tmp_path / "clouds.yaml")))
    return connect("sky")


def kinds(cloud: Cloud, service: str) -> list[str]:
    read = items_in(cloud.documents(service), service)
    assert read.unmapped == []
    return [item.kind for item in read.items]


def test_each_service_is_asked_for_all_that_belongs_together(cloud: Cloud) -> None:
    assert cloud.project() == OWNER
    assert kinds(cloud, "nova") == ["quota", "flavor", "flavor"]
    assert kinds(cloud, "blazar") == ["lease", "flavor", "flavor"]
    assert kinds(cloud, "magnum") == ["cluster", "clustertemplate", "flavor", "flavor"]


def test_clusters_are_asked_for_one_by_one_for_the_list_says_too_little(cloud: Cloud, fake: FakeCloud) -> None:
    fake.clusters.append(cluster(uuid="ffeeddcc-0000-4000-8000-000000000000", name="second"))
    (clusters, *_) = cloud.documents("magnum")
    assert [one["created_at"] for one in clusters["clusters"]] == ["2026-02-20T09:41:07+00:00"] * 2


def test_pages_are_followed(cloud: Cloud, fake: FakeCloud) -> None:
    fake.flavors = [flavor(f"f{number}", number, 1, 1) for number in range(5)]
    assert len(kinds(cloud, "nova")) == 6
    assert sum("/flavors/detail?marker=" in asked for asked in fake.asked) == 4


def test_only_reads_are_sent(cloud: Cloud, fake: FakeCloud) -> None:
    for service in ("nova", "blazar", "magnum"):
        cloud.documents(service)
    assert {asked for asked in fake.asked if not asked.startswith("GET ")} == {"POST /identity/v3/auth/tokens"}


def test_a_service_that_does_not_answer_is_told(cloud: Cloud, fake: FakeCloud) -> None:
    fake.broken = {"/reservation/v1/leases"}
    with pytest.raises(NoAnswer, match="503"):
        cloud.documents("blazar")
    assert kinds(cloud, "nova") == ["quota", "flavor", "flavor"]


def test_a_cloud_without_blazar_is_told(fake: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.services = {"compute"}
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(fake.clouds_yaml(tmp_path / "clouds.yaml")))
    with pytest.raises(NoAnswer, match="reservation"):
        connect("sky").documents("blazar")


def test_a_sign_in_that_is_refused_is_told(fake: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(fake.clouds_yaml(tmp_path / "clouds.yaml", "wrong")))
    with pytest.raises(Failure, match="not the password"):
        connect("sky").project()
    with pytest.raises(Failure, match="--cloud"):
        connect("no-such-cloud")
