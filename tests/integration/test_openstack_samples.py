"""A real Keystone with its catalogue, and services that answer with the samples of OpenStack's own projects: whatever
goes wrong on the way, a sync reads all of a service or nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import openstack
import pytest

from services.cli.failure import Failure
from services.cli.openstack.cloud import Cloud
from services.cli.openstack.desired import DesiredCluster, DesiredGrants, DesiredTemplate, ImportOptions
from services.cli.openstack.document import items_in
from services.cli.openstack.mapping import map_items
from services.cli.openstack.service import NoAnswer, NotInCatalogue
from shared.capacity import Capacity
from tests.support.cloud import running
from tests.support.keystone import Keystone, User
from tests.support.openstack import NOW
from tests.support.sampled_cloud import CLUSTER, ENDPOINTS, NEWEST, PIKE, STEIN, Fault, Release, SampledCloud

# The SDK says it of a feature of its own that nobody asks for.
pytestmark = pytest.mark.filterwarnings("ignore:Support for InfluxDB")
CLUSTERS, NODEGROUPS = "/container-infra/v1/clusters", f"/container-infra/v1/clusters/{CLUSTER}/nodegroups"
FLAVORS, LEASES = "/compute/v2.1/flavors/detail", "/reservation/v1/leases"


class Ours:
    """A user of Keystone, and a cloud of samples that trusts it."""

    def __init__(self, keystone: Keystone, user: User, cloud: SampledCloud, folder: Path) -> None:
        self.keystone, self.user, self.cloud, self._folder = keystone, user, cloud, folder
        self.connected = self.another()

    def another(self, user: User | None = None, **more: Any) -> Cloud:
        """A sign-in of its own. `more`: of clouds.yaml."""
        file = self.keystone.clouds_yaml(self._folder / "clouds.yaml", user or self.user, **more)
        config = openstack.config.OpenStackConfig(config_files=[str(file)])
        return Cloud(openstack.connection.Connection(config=config.get_one("ours")), first_wait_s=0.01)


@pytest.fixture(scope="module")
def place(keystone: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    user = keystone.user("reads-a-cloud")
    with (
        running(SampledCloud(user.project, keystone.is_valid)) as cloud,
        keystone.catalogue({kind: f"{cloud.url}/{path}" for kind, path in ENDPOINTS.items()}),
    ):
        yield Ours(keystone, user, cloud, tmp_path_factory.mktemp("cloud"))


@pytest.fixture
def ours(place: Ours) -> Ours:
    place.cloud.reset()
    return place


def mapped(cloud: Cloud, service: str) -> tuple[list[Any], list[str]]:
    """What the documents of a service come to, and why something is not mapped."""
    read = items_in(cloud.documents(service), service)
    known = {"m1.small": "m1.small"}
    options = ImportOptions(project="sky", now=NOW, owner=cloud.project(), disc=None, known=known)
    result = map_items(service, read.items, options)
    return result.desired, [one.why for one in (*read.unmapped, *result.unmapped)]


@pytest.mark.parametrize("release", [PIKE, STEIN, NEWEST], ids=["pike", "stein", "newest"])
def test_each_release_says_the_same_and_the_newest_says_the_node_groups_too(ours: Ours, release: Release) -> None:
    ours.cloud.release = release
    cloud = ours.connected
    desired, unmapped = mapped(cloud, "nova")
    (quota,) = [one for one in desired if isinstance(one, DesiredGrants)]
    assert quota.capacities == (Capacity(servers=10, cores=20, memory=51_200),)
    templates = {one.name: one.capacity for one in desired if isinstance(one, DesiredTemplate)}
    assert templates["m1.small"] == Capacity(servers=1, cores=1, memory=2048)
    assert len(templates) >= 6, "they came in pages of two"
    assert unmapped == []
    desired, unmapped = mapped(cloud, "blazar")
    (lease,) = [one for one in desired if isinstance(one, DesiredGrants)]
    assert lease.source == "blazar:6ee55c78-ac52-41a6-99af-2d2d73bcc466"
    assert ["--host-memory" in why for why in unmapped] == [True], "nobody says how large a host is"
    desired, unmapped = mapped(cloud, "magnum")
    (cluster,) = [one for one in desired if isinstance(one, DesiredCluster)]
    nodes = cluster.layout.mastercount, cluster.layout.workercount, cluster.layout.workermax, cluster.has_groups
    assert nodes == ((2, 2, 10, True) if release is NEWEST else (1, 1, None, False))
    assert (cluster.layout.masterflavor, cluster.layout.workerflavor, unmapped) == ("m1.small", "m1.small", [])


def test_further_node_groups_come_in_pages_and_their_bounds_are_asked_for(ours: Ours) -> None:
    first = ours.cloud.groups[0]
    ours.cloud.groups += [
        {
            **first,
            "uuid": f"66666666-7777-8888-9999-00000000010{n}",
            "name": f"gpu{n}",
            "is_default": False,
            "role": "gpu",
        }
        for n in range(3)
    ]
    (cluster,) = [one for one in mapped(ours.connected, "magnum")[0] if isinstance(one, DesiredCluster)]
    assert [(one.name, one.role, one.count, one.max) for one in cluster.layout.groups] == [
        (f"gpu{n}", "gpu", 2, 10) for n in range(3)
    ]


def test_a_token_that_is_revoked_in_the_middle_is_renewed(ours: Ours) -> None:
    cloud = ours.another()
    first, seen, revoked = cloud.token(), list[str](), list[str]()

    def revoke(path: str) -> None:
        seen.append(path)
        if seen.count(FLAVORS) == 2 and len(revoked) == 0:
            ours.keystone.revoke(first)
            revoked.append(first)

    ours.cloud.before, ours.cloud.trusts = revoke, ours.keystone.is_valid
    assert len(cloud.documents("nova")) >= 4
    assert cloud.token() != first
    assert not ours.keystone.is_valid(first)
    assert seen.count(FLAVORS) >= 4, "one page was asked for twice"


def test_a_token_that_is_never_taken_is_asked_for_twice_and_no_more(ours: Ours) -> None:
    ours.cloud.trusts = lambda _: False
    with pytest.raises(NoAnswer, match="401"):
        ours.connected.documents("blazar")
    assert ours.cloud.asked.count(LEASES) == 2
    wrong = ours.user._replace(password="wrong")
    with pytest.raises(Failure, match="cannot use the cloud"):
        ours.another(wrong).project()


def test_a_busy_service_is_asked_again_when_it_says(ours: Ours) -> None:
    soon = format_datetime(datetime.now(UTC) - timedelta(seconds=1), usegmt=True)
    ours.cloud.faults = {
        LEASES: [Fault(429, headers={"Retry-After": "0"}), Fault(503, headers={"Retry-After": soon}), Fault(502)],
        FLAVORS: [None, Fault(504, b"<html>", {"Retry-After": "soon"})],
    }
    assert len(ours.connected.documents("blazar")) >= 4
    assert ours.cloud.asked.count(LEASES) == 4
    ours.cloud.faults = {LEASES: [Fault(503)] * 9}
    with pytest.raises(NoAnswer, match="503"):
        ours.connected.documents("blazar")
    ours.cloud.faults = {LEASES: [Fault(429, headers={"Retry-After": "3600"})]}
    with pytest.raises(NoAnswer, match="asked again in 3600 seconds"):
        ours.connected.documents("blazar")


DEEP = b'{"leases":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    ("service", "path", "fault", "says"),
    [
        ("nova", FLAVORS, Fault(403, b'{"forbidden": {"code": 403, "message": "Policy forbids"}}'), "Policy forbids"),
        ("nova", FLAVORS, Fault(404, b"<html>404</html>"), "not with JSON"),
        ("nova", FLAVORS, Fault(200, b'{"flavors": [{"id": "1", '), "not with JSON"),
        ("nova", FLAVORS, Fault(200, b'{"flavors": {}}'), "has no flavors"),
        ("nova", FLAVORS, Fault(200, b'{"flavors": [], "flavors_links": [{"rel": "next", "href": 7}]}'), "no address"),
        ("blazar", LEASES, Fault(404, b'{"error_code": 404, "error_message": "no route"}'), "no route"),
        ("blazar", LEASES, Fault(200, b"[]"), "answers 200"),
        ("blazar", LEASES, Fault(200, b"\xff\xfe"), "not with JSON"),
        ("blazar", LEASES, Fault(200, DEEP), "not with JSON"),
        ("magnum", CLUSTERS, Fault(200, b'{"clusters": [{"name": "k8s"}]}'), "without a uuid"),
        ("magnum", CLUSTERS, Fault(200, b'{"clusters": [{"uuid": "../../v1/quotas"}]}'), "without a uuid"),
        ("magnum", CLUSTERS, Fault(200, b'{"clusters": [], "next": "http://x/?limit=1"}'), ""),
        ("magnum", NODEGROUPS, Fault(500, b'{"errors": [{"detail": "it broke"}]}'), "it broke"),
    ],
)
def test_an_answer_that_is_not_right_is_no_answer(ours: Ours, service: str, path: str, fault: Fault, says: str) -> None:
    ours.cloud.faults = {path: [fault] * 9}
    with pytest.raises(NoAnswer, match=says or "read before"):
        ours.connected.documents(service)


def test_a_cluster_that_is_deleted_while_it_is_read_is_not_there(ours: Ours) -> None:
    ours.cloud.faults = {f"{CLUSTERS}/{CLUSTER}": [Fault(404, b'{"errors": [{"detail": "gone"}]}')]}
    assert ours.connected.documents("magnum")[0] == {"clusters": []}


def test_a_service_that_is_not_in_the_catalogue_is_told(ours: Ours) -> None:
    with pytest.raises(NotInCatalogue, match="reservation"):
        ours.another(region_name="two").documents("blazar")
