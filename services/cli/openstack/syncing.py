"""`hourbook sync openstack`: what a cloud answers now becomes commands of Hourbook's, as often as it is run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from services.cli.client import Client
from services.cli.openstack.carry_out import Row, carry_out, noted, perform, read_present
from services.cli.openstack.cloud import Cloud, NoAnswer, connect
from services.cli.openstack.document import Item, sorted_out
from services.cli.openstack.importing import Host, Into, When, checked, finish, present_at, quota_hours
from services.cli.openstack.plan import missing_clusters, missing_leases, plan
from services.cli.openstack.present import Present
from services.cli.openstack.wanted import Given, Gone, Revoked

ACTOR = "hourbook sync"
SERVICES = ("nova", "blazar", "magnum")


def openstack(
    *,
    into: Into,
    when: When = When(),  # noqa: B008  (a frozen value)
    cloud: str | None = None,
    services: list[Literal["nova", "blazar", "magnum"]] | None = None,
    parent: str | None = None,
    servers: int | None = None,
    cores: int | None = None,
    memory: int | None = None,
    tempdisc: int | None = None,
    disc: Literal["tempdisc", "userdisc", "datadisc", "none"] = "tempdisc",
    host: Host = Host(),  # noqa: B008  (a frozen value)
) -> None:
    """Take over an OpenStack project.

    Parameters
    ----------
    cloud
        The name of a cloud in clouds.yaml. Default: what OS_CLOUD or the other OS_ variables say.
    services
        Which are asked, each with a --services of its own. Default: all three.
    parent
        What the Magnum clusters are drawn from. Default: the project.
    servers
        What is granted of it where the quota is unlimited (-1).
    cores
        As servers.
    memory
        As servers, in MiB.
    tempdisc
        What is granted of it beside the quota, in GiB.
    disc
        What a flavor's disc is counted as.
    """
    amounts = {"servers": servers, "cores": cores, "memory": memory, "tempdisc": tempdisc}
    start, end = quota_hours(when)
    given = msgspec.structs.replace(
        into.given(),
        start=start,
        end=end,
        disc=None if disc == "none" else disc,
        amounts={name: checked(name, amount) for name, amount in amounts.items() if amount is not None},
        host=host.capacity(),
    )
    asked = [name for name in SERVICES if services is None or name in services]
    finish(sync(connect(cloud), asked, into, given, parent or into.project), into)


async def sync(cloud: Cloud, services: Sequence[str], into: Into, given: Given, parent: str) -> list[Row]:
    """One service after the other: what one grants, the next may claim. One that does not answer changes nothing."""
    project = await asyncio.to_thread(cloud.project)
    given = msgspec.structs.replace(given, owner=into.openstack_project or project)
    rows: list[Row] = []
    async with Client(into.url, ACTOR) as client:
        present = await present_at(client, into, rows)
        for service in services:
            try:
                documents = await asyncio.to_thread(cloud.documents, service)
            except NoAnswer as error:
                rows.append(Row("refused", service, str(error)))
                continue
            read = sorted_out(documents, service)
            rows += noted(read.notes, read.unmapped)
            # A cluster has no end, and the quota's is not its own.
            its = msgspec.structs.replace(given, start=None, end=None) if service == "magnum" else given
            rows += await carry_out(client, service, read.items, its, parent, present=present, dry_run=into.dry_run)
            for missing in gone(service, read.items, present, given, parent):
                rows += await perform(client, plan(missing, present, given, parent), dry_run=into.dry_run)
            if not into.dry_run:
                present = await read_present(client, into.project)
    return list(dict.fromkeys(rows))


def gone(
    service: str, items: Sequence[Item], present: Present, given: Given, parent: str
) -> list[Revoked] | list[Gone]:
    """What an earlier sync made and is not among all that there is now. Where one has no id, nobody knows: nothing."""
    if service == "blazar":
        leases = ids_of(items, "lease", "id")
        return [] if leases is None else missing_leases([f"blazar:{lease}" for lease in leases], present, given)
    if service == "magnum":
        uuids = ids_of(items, "cluster", "uuid")
        return [] if uuids is None else missing_clusters(uuids, present, given, parent)
    return []


def ids_of(items: Sequence[Item], kind: str, member: str) -> list[str] | None:
    ids: list[Any] = [
        item.data.get(member) if isinstance(item.data, dict) else None for item in items if item.kind == kind
    ]
    return ids if all(isinstance(one, str) for one in ids) else None
