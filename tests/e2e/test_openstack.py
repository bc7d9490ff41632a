"""OpenStack and Hourbook: files and a cloud are taken over, again and again, and the nesting of the notes holds."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.hours import iso, next_hour
from tests.support.cloud import FakeCloud
from tests.support.cloud import running as answering
from tests.support.openstack import HEAD, NODE, cluster, cluster_template, flavor, hosts, instances, lease, quota
from tests.support.running import Running, hourbook

_numbers = count(1)
HOUR = next_hour(datetime.now(UTC))


def at(hours: int) -> str:
    return iso(HOUR + hours)


class Sky:
    """A project of Hourbook's, and OpenStack's documents beside it."""

    def __init__(self, up: Running, directory: Path) -> None:
        self.url, self._directory = up.url, directory
        self.project = f"sky-{next(_numbers)}"

    def file(self, name: str, document: Any) -> str:
        path = self._directory / name
        path.write_text(json.dumps(document))
        return str(path)

    def take(self, *command: str, exits: int = 0, **environment: str) -> dict[str, int]:
        """How often each outcome is in the summary."""
        done = hourbook(*command, "--project", self.project, "--url", self.url, **environment)
        assert done.returncode == exits, done.stdout + done.stderr
        self.said = done.stdout
        summary = done.stdout.strip().splitlines()[-1].rpartition(". ")[2]
        return {
            name: int(number)
            for number, _, name in (part.partition(" ") for part in summary.split(", "))
            if number != "0"
        }

    def imports(self, service: str, *files: str, exits: int = 0) -> dict[str, int]:
        return self.take("import", service, *files, exits=exits)

    def post(self, path: str, expect: tuple[int, ...] = (200, 201), **body: Any) -> dict[str, Any]:
        answer = httpx.post(self.url + path, json=body, timeout=30)
        assert answer.status_code in expect, answer.text
        return dict(answer.json())

    def events(self) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/events", params={"project": self.project, "limit": "1000"}, timeout=30)
        return [stored["event"] for stored in answer.json()["events"]]

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events()]

    def get(self, path: str, **query: str) -> dict[str, Any]:
        head = httpx.get(f"{self.url}/events", params={"limit": "1"}, timeout=30).json()["position"]
        answer = httpx.get(self.url + path, params={"min_position": head, **query}, timeout=30)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def available(self, pool: str, hours: int) -> tuple[int, int, int]:
        """Servers, cores and memory of an hour."""
        field = "clusterid" if "." in pool else "project"
        span = f"{at(hours)},{at(hours + 1)}"
        (block,) = self.get("/available/select", **{field: pool}, range=span, grain="hour")["blocks"]
        free = block["available"]["min"]
        return free["servers"], free["cores"], free["memory"]


@pytest.fixture
def sky(up: Running, tmp_path: Path) -> Sky:
    return Sky(up, tmp_path)


# --- files ---


def test_a_project_that_is_not_there_is_created_when_asked(sky: Sky) -> None:
    file = sky.file("quota.json", quota())
    failed = hourbook("import", "nova", file, "--project", sky.project, "--url", sky.url)
    assert failed.returncode == 1
    assert "--create-project" in failed.stderr
    assert sky.take("import", "nova", file, "--create-project", "--dry-run") == {"created": 1}
    assert sky.take("import", "nova", file, "--create-project") == {"created": 1}
    assert sky.kinds() == ["ProjectCreated", "GrantCreated"]


def test_files_are_taken_over_once(sky: Sky) -> None:
    sky.post("/projects/create", id=sky.project, name="Sky")
    nova = [sky.file("quota.json", quota(detail=True)), sky.file("flavors.json", {"flavors": [NODE, HEAD]})]
    leases = sky.file("leases.json", {"leases": [spring(), spring(id="e1", status="ERROR")]})
    magnum = [sky.file("cluster.json", {"clusters": [cluster()]}), sky.file("template.json", cluster_template())]
    assert sky.take("import", "nova", *nova, "--disc", "none") == {"created": 3}
    assert sky.imports("blazar", leases) == {"created": 1, "not mapped": 1}
    assert "its state is ERROR" in sky.said
    assert sky.imports("magnum", *magnum) == {"created": 1}
    events = sky.events()
    assert sky.take("import", "nova", *nova, "--disc", "none") == {"already there": 3}
    assert sky.imports("blazar", leases) == {"already there": 1, "not mapped": 1}
    assert sky.imports("magnum", *magnum) == {"already there": 1}
    assert sky.events() == events
    # 24 servers, 64 cores and 256 GiB of the quota, 2 and 8 and 16 of the lease, less one head and four nodes.
    assert sky.available(sky.project, 50) == (24 + 2 - 5, 64 + 8 - 2 - 32, 262_144 + 16_384 - 4_096 - 65_536)
    assert sky.available(f"{sky.project}.night-sky-d41c7e0a", 50) == (5, 34, 69_632)


def spring(**members: Any) -> dict[str, Any]:
    """A lease of two instances from hour 40 to hour 60."""
    return lease(instances(2), start_date=naive(40), end_date=naive(60), **members)


def naive(hours: int) -> str:
    return at(hours).removesuffix("Z") + ".000000"


def test_standard_input_is_a_file_too(sky: Sky) -> None:
    sky.post("/projects/create", id=sky.project, name="Sky")
    assert sky.take("import", "nova", "-", stdin=json.dumps(quota())) == {"created": 1}
    assert sky.kinds()[-1] == "GrantCreated"


def test_a_changed_quota_is_another_grant_and_there_and_back_again_too(sky: Sky) -> None:
    sky.post("/projects/create", id=sky.project, name="Sky")
    for cores, outcome in ((64, "created"), (80, "changed"), (64, "changed"), (80, "changed"), (80, "already there")):
        assert sky.imports("nova", sky.file("quota.json", quota(cores=cores))) == {outcome: 1}
        assert sky.available(sky.project, 10) == (24, cores, 262_144)


def test_a_quota_that_is_lowered_below_what_is_in_use_is_refused_whole(sky: Sky) -> None:
    sky.post("/projects/create", id=sky.project, name="Sky")
    sky.imports("nova", sky.file("quota.json", quota()))
    sky.post("/bookings/create", project=sky.project, account="ada", cores=60, startdate=at(5), enddate=at(9))
    events = sky.events()
    assert sky.imports("nova", sky.file("quota.json", quota(cores=40)), exits=1) == {"refused": 1}
    assert "in use" in sky.said
    assert sky.events() == events
    assert sky.imports("nova", sky.file("quota.json", quota(cores=60))) == {"changed": 1}
    assert sky.available(sky.project, 6) == (24, 0, 262_144)


def test_a_resize_is_requested_then_applied(sky: Sky) -> None:
    sky.post("/projects/create", id=sky.project, name="Sky")
    sky.take("import", "nova", sky.file("q", quota()), sky.file("f", {"flavors": [NODE, HEAD]}), "--disc", "none")
    template, name = sky.file("template.json", cluster_template()), f"{sky.project}.night-sky-d41c7e0a"
    sky.imports("magnum", sky.file("c", cluster()), template)
    request = sky.file("resize.json", {"node_count": 6})
    assert sky.take("import", "magnum", request, "--cluster", name) == {"created": 1}
    assert sky.take("import", "magnum", request, "--cluster", name) == {"already there": 1}
    assert sky.available(name, 3)[0] == 5
    for status, outcome in (
        ("UPDATE_IN_PROGRESS", "already there"),
        ("UPDATE_COMPLETE", "changed"),
        ("UPDATE_COMPLETE", "already there"),
    ):
        file = sky.file("c", cluster(status=status, node_count=6))
        assert sky.imports("magnum", file, template) == {outcome: 1}
    assert sky.available(name, 3)[0] == 7
    resizes = sky.get(f"/magcluster/{name}/resizes")["resizes"]
    assert [(resize["state"], resize["workercount"]) for resize in resizes] == [("applied", 6)]
    assert sky.imports("magnum", sky.file("c", cluster(status="DELETE_COMPLETE"))) == {"changed": 1, "not mapped": 1}
    assert sky.available(sky.project, 3) == (24, 64, 262_144)


def test_a_cluster_that_does_not_fit_is_refused_and_says_what_helps(sky: Sky) -> None:
    sky.post("/projects/create", id=sky.project, name="Sky")
    sky.imports("nova", sky.file("q", quota()), sky.file("f", {"flavors": [NODE, HEAD]}))  # with their discs
    files = sky.file("c", cluster()), sky.file("t", cluster_template())
    assert sky.imports("magnum", *files, exits=1) == {"refused": 1}
    assert "tempdisc" in sky.said
    assert "--disc" in sky.said
    assert sky.take("import", "nova", sky.file("q", quota()), "--tempdisc", "500") == {"changed": 1}
    assert sky.imports("magnum", *files) == {"created": 1}


# --- a cloud ---


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with answering(FakeCloud()) as cloud:
        cloud.leases = [spring()]
        yield cloud


def test_a_cloud_is_taken_over_as_often_as_it_is_asked(sky: Sky, cloud: FakeCloud, tmp_path: Path) -> None:
    clouds = str(cloud.clouds_yaml(tmp_path / "clouds.yaml"))

    def sync(exits: int = 0) -> dict[str, int]:
        options = ("--cloud", "sky", "--create-project", "--disc", "none")
        return sky.take("sync", "openstack", *options, exits=exits, OS_CLIENT_CONFIG_FILE=clouds)

    assert sync()["created"] == 5  # a quota, two flavors, a lease, a cluster
    events = sky.events()
    assert "created" not in sync()
    assert sky.events() == events

    cloud.quota = quota(cores=100)
    cloud.clusters = [cluster(node_count=5)]
    assert sync()["changed"] == 2
    assert sky.kinds()[len(events) :] == ["GrantCreated", "GrantWithdrawn", "ClusterResized"]
    assert sky.available(sky.project, 50) == (24 + 2 - 6, 100 + 8 - 2 - 40, 262_144 + 16_384 - 4_096 - 81_920)

    cloud.broken = {"/reservation/v1/leases"}  # it does not answer: what it granted stays
    assert sync(exits=1)["refused"] == 1
    cloud.broken = set()
    cloud.leases, cloud.clusters = [], []
    assert sync()["changed"] == 2
    assert sky.available(sky.project, 50) == (24, 100, 262_144)
    assert "changed" not in sync()


# --- the nesting of the notes ---


def test_openstack_project_blazar_magnum_spark_and_zeppelin(sky: Sky) -> None:
    """Each level takes from the one above it, hour by hour, and what is booked in one is not to be had in another."""
    sky.post("/projects/create", id=sky.project, name="Sky")
    small = flavor("small", 3, 2, 4096, 0)
    sky.take("import", "nova", sky.file("f", {"flavors": [NODE, HEAD, small]}), "--disc", "none")
    reserved = lease(
        instances(12, vcpus=8, memory_mb=16_384, disk_gb=0),
        hosts(1, properties=""),
        start_date=naive(10),
        end_date=naive(110),
    )
    assert sky.imports("blazar", sky.file("lease", {"lease": reserved})) == {"created": 1, "not mapped": 1}
    (grant,) = sky.get("/resources/select", project=sky.project, range=f"{at(0)},{at(200)}")["items"]
    assert grant["source"] == f"blazar:{reserved['id']}"
    assert sky.available(sky.project, 9) == (0, 0, 0)
    assert sky.available(sky.project, 10) == (12, 96, 196_608)

    magnum = sky.post(
        "/magcluster/create",
        parent=sky.project,
        name="k8s",
        startdate=at(10),
        enddate=at(110),
        masterflavor="c2.head",
        mastercount=1,
        workerflavor="c2.node",
        workercount=8,
    )["id"]
    assert sky.available(magnum, 10) == (9, 66, 135_168)
    assert sky.available(sky.project, 10) == (3, 30, 61_440)

    within = {"parent": magnum, "startdate": at(20), "enddate": at(100)}
    spark = sky.post(
        "/magcluster/create",
        name="spark",
        masterflavor="small",
        mastercount=1,
        workerflavor="c2.node",
        workercount=4,
        **within,
    )["id"]
    zeppelin = sky.post(
        "/clusters/create", name="zeppelin", kind="zeppelin", servers=1, cores=4, memory=8192, **within
    )["id"]
    assert (spark, zeppelin) == (f"{magnum}.spark", f"{magnum}.zeppelin")
    assert sky.available(magnum, 19) == (9, 66, 135_168)
    assert sky.available(magnum, 20) == (3, 28, 57_344)
    assert sky.available(spark, 20) == (5, 34, 69_632)

    hours = {"startdate": at(30), "enddate": at(40)}
    sky.post("/bookings/create", project=sky.project, account="ops", servers=1, cores=10, memory=1024, **hours)
    sky.post("/bookings/create", clusterid=magnum, account="ops", template="small", count=2, **hours)
    sky.post("/bookings/create", clusterid=spark, account="ada", share="50%", **hours)
    sky.post("/bookings/create", clusterid=zeppelin, account="bob", cores=1, memory=2048, **hours)
    assert sky.available(sky.project, 30) == (2, 20, 60_416)
    assert sky.available(magnum, 30) == (1, 24, 49_152)
    assert sky.available(spark, 30) == (2, 17, 34_816)  # half of 5 servers is reserved as 3
    assert sky.available(zeppelin, 30) == (1, 3, 6144)

    refused = sky.post("/bookings/create", expect=(409,), clusterid=spark, account="bob", cores=18, **hours)
    assert (refused["code"], refused["shortages"][0]["available"]) == ("capacity_exceeded", 17)  # half is ada's
    refused = sky.post(f"/magcluster/{magnum}/resize", expect=(409,), workercount=6)
    assert refused["code"] == "capacity_exceeded"  # Spark, Zeppelin and a booking are in it
    refused = sky.post(f"/resources/{grant['id']}/withdraw", expect=(409,))
    assert refused["code"] == "capacity_exceeded"

    sky.post(f"/magcluster/{spark}/resize", workercount=6, startdate=at(30), enddate=at(40), expect=(409,))
    sky.post(f"/magcluster/{spark}/resize", workercount=6, startdate=at(50), enddate=at(60))
    assert sky.available(spark, 50) == (7, 50, 102_400)
    assert sky.available(magnum, 50) == (1, 12, 24_576)
    assert sky.available(magnum, 60) == (3, 28, 57_344)

    (resize,) = sky.get(f"/magcluster/{spark}/resizes")["resizes"]
    assert (resize["state"], resize["workercount"]) == ("applied", 6)
    rows = sky.get("/magcluster/sizes", clusterid=spark, range=f"{at(49)},{at(51)}", grain="hour")["rows"]
    assert [(row["servers"], row["cores"], row["memory"]) for row in rows] == [(5, 34, 69_632), (7, 50, 102_400)]
    rows = sky.get("/novaquota/available", project=sky.project, range=f"{at(9)},{at(11)}", grain="hour")["rows"]
    assert [(row["servers"], row["cores"], row["memory"]) for row in rows] == [(0, 0, 0), (3, 30, 61_440)]
    calendar = httpx.get(f"{sky.url}/projects/{sky.project}.ics", timeout=30).text
    assert calendar.count("BEGIN:VEVENT") == 4
