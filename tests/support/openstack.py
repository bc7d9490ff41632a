"""Documents in the shapes that OpenStack's APIs answer, with names and numbers of our own."""

import json
from typing import Any

from services.cli.openstack.desired import (
    DeletedCluster,
    Desired,
    DesiredTemplate,
    EndedSource,
    ImportOptions,
    MappingResult,
)
from services.cli.openstack.document import parse
from services.cli.openstack.mapping import map_items
from shared.hours import parse_instant, parse_zone

NOW = parse_instant("2026-03-01T08:00Z", "now", parse_zone("UTC"))
OWNER = "9c1d5b0ae2f34b6d8f60a1d7c3e8b521"


def hour(text: str) -> int:
    return parse_instant(text, "hour", parse_zone("UTC"))


def quota(*, detail: bool = False, **limits: int) -> dict[str, Any]:
    """Of 2.57 and later; before, it has addresses, security groups and injected files too."""
    counts = {"cores": 64, "instances": 24, "ram": 262_144, "key_pairs": 50, "metadata_items": 64, **limits}
    if detail:
        return {
            "quota_set": {
                "id": OWNER,
                **{name: {"limit": count, "in_use": 3, "reserved": 0} for name, count in counts.items()},
            }
        }
    return {"quota_set": {"id": OWNER, **counts}}


OLD_QUOTA = {
    "quota_set": {
        "cores": 16,
        "fixed_ips": -1,
        "floating_ips": -1,
        "id": OWNER,
        "injected_file_content_bytes": 10240,
        "injected_file_path_bytes": 255,
        "injected_files": 5,
        "instances": 8,
        "key_pairs": 100,
        "metadata_items": 128,
        "ram": 32768,
        "security_group_rules": -1,
        "security_groups": -1,
        "server_group_members": 10,
        "server_groups": 10,
        "networks": 3,
    }
}


def flavor(name: str, number: int, vcpus: int, ram: int, disk: int = 0, **more: Any) -> dict[str, Any]:
    """As 2.61 and later have it."""
    return {
        "OS-FLV-DISABLED:disabled": False,
        "disk": disk,
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "os-flavor-access:is_public": True,
        "id": str(number),
        "links": [{"href": "http://nova/", "rel": "self"}],
        "name": name,
        "ram": ram,
        "swap": "",
        "vcpus": vcpus,
        "rxtx_factor": 1.0,
        "description": None,
        "extra_specs": {},
        **more,
    }


NODE, HEAD = flavor("c2.node", 11, 8, 16_384, 30), flavor("c2.head", 12, 2, 4_096, 10)


def lease(*reservations: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "id": "30c6a1f2-77d4-4e0b-9a55-1f2b3c4d5e6f",
        "name": "spring run",
        "start_date": "2026-04-01T08:00:00.000000",
        "end_date": "2026-04-15T20:00:00.000000",
        "status": "PENDING",
        "degraded": False,
        "user_id": "u1",
        "project_id": OWNER,
        "trust_id": "t1",
        "created_at": "2026-02-27 10:00:00",
        "updated_at": None,
        "reservations": list(reservations),
        "events": [],
        **members,
    }


def instances(amount: int = 6, **members: Any) -> dict[str, Any]:
    return {
        "id": "a0c9d1c4-0b6e-4a51-8a3f-70d1f2a5b9e8",
        "lease_id": "30c6a1f2-77d4-4e0b-9a55-1f2b3c4d5e6f",
        "status": "pending",
        "missing_resources": False,
        "resources_changed": False,
        "resource_id": "r1",
        "resource_type": "virtual:instance",
        "amount": amount,
        "vcpus": 4,
        "memory_mb": 8192,
        "disk_gb": 50,
        "affinity": False,
        "resource_properties": "",
        "flavor_id": "a0c9d1c4-0b6e-4a51-8a3f-70d1f2a5b9e8",
        "server_group_id": "s1",
        "aggregate_id": 7,
        "created_at": "2026-02-27 10:00:00",
        "updated_at": None,
        **members,
    }


def hosts(least: int = 2, most: int = 3, properties: str = '[">=", "$vcpus", "32"]', **members: Any) -> dict[str, Any]:
    return {
        "id": "5d0e8a6c-1c1b-4d8e-9f10-2a3b4c5d6e7f",
        "status": "pending",
        "missing_resources": False,
        "resource_type": "physical:host",
        "min": least,
        "max": most,
        "hypervisor_properties": properties,
        "resource_properties": "",
        "before_end": "default",
        **members,
    }


def cluster(**members: Any) -> dict[str, Any]:
    return {
        "status": "CREATE_COMPLETE",
        "uuid": "d41c7e0a-5b7f-4b0a-8f4e-61f0c9a2b3d4",
        "links": [],
        "stack_id": "st1",
        "created_at": "2026-02-20T09:41:07+00:00",
        "updated_at": None,
        "master_count": 1,
        "coe_version": "v1.30.2",
        "keypair": "ops",
        "cluster_template_id": "7e0b3c55-0d9e-4d9b-bd5a-2f1a9c8e7d6b",
        "node_count": 4,
        "status_reason": None,
        "create_timeout": 60,
        "name": "Night_Sky",
        **members,
    }


def cluster_template(**members: Any) -> dict[str, Any]:
    return {
        "uuid": "7e0b3c55-0d9e-4d9b-bd5a-2f1a9c8e7d6b",
        "name": "k8s-1.30",
        "coe": "kubernetes",
        "flavor_id": "c2.node",
        "master_flavor_id": "12",
        "image_id": "fedora-coreos-40",
        "labels": {},
        "public": False,
        "server_type": "vm",
        "docker_volume_size": None,
        **members,
    }


def mapped(service: str, *texts: str, **options: Any) -> MappingResult:
    """What files with these texts come to."""
    files = [parse(text, f"file {number}") for number, text in enumerate(texts, 1)]
    result = map_items(
        service, [item for file in files for item in file.items], ImportOptions(project="sky", now=NOW, **options)
    )
    return MappingResult(
        result.desired,
        [*(one for file in files for one in file.unmapped), *result.unmapped],
        [*(one for file in files for one in file.notes), *result.notes],
    )


def desired(service: str, *documents: Any, **options: Any) -> list[Desired]:
    """What they come to, when nothing is left out."""
    result = mapped(service, *(json.dumps(document) for document in documents), **options)
    assert result.unmapped == []
    return result.desired


def why(service: str, *documents: Any, **options: Any) -> str:
    """Why the only thing in them is not mapped."""
    result = mapped(service, *(json.dumps(document) for document in documents), **options)
    assert [one for one in result.desired if not isinstance(one, DesiredTemplate | EndedSource | DeletedCluster)] == []
    assert len(result.unmapped) == 1
    return ": ".join(result.unmapped[0])


# --- Nova ---


def clusters_in(*documents: Any, **options: Any) -> list[Desired]:
    return [one for one in desired("magnum", *documents, **options) if not isinstance(one, DesiredTemplate)]
