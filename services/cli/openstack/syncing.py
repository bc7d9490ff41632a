"""`hourbook sync openstack`: imports the present state of a cloud."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from services.cli.client import Client
from services.cli.credential import Headers
from services.cli.openstack.apply import ReportLine, apply_items, apply_steps, read_current, rows_of
from services.cli.openstack.cloud import Cloud, NoAnswer, connect
from services.cli.openstack.current import CurrentState
from services.cli.openstack.desired import DeletedCluster, EndedSource, ImportOptions
from services.cli.openstack.document import Item, items_in
from services.cli.openstack.importing import (
    Disc,
    HostOptions,
    PeriodOptions,
    Target,
    finish,
    quota_options,
    read_or_assume_empty,
)
from services.cli.openstack.plan import missing_clusters, missing_leases, plan

ACTOR = "hourbook sync"
KEYSTONE_HEADER = "X-Auth-Token"
SERVICES = ("nova", "blazar", "magnum")


def openstack(
    *,
    target: Target,
    when: PeriodOptions = PeriodOptions(),  # noqa: B008  (a frozen value)
    cloud: str | None = None,
    services: list[Literal["nova", "blazar", "magnum"]] | None = None,
    parent: str | None = None,
    servers: int | None = None,
    cores: int | None = None,
    memory: int | None = None,
    tempdisc: int | None = None,
    disc: Disc = "tempdisc",
    host: HostOptions = HostOptions(),  # noqa: B008  (a frozen value)
    auth: Literal["token", "keystone"] = "token",
) -> None:
    """
    Parameters
    ----------
    cloud
        The name of a cloud in clouds.yaml. Default: that of OS_CLOUD or the other OS_ variables.
    services
        The services to read, each with a --services of its own. Default: all three.
    parent
        The project or cluster in Hourbook that Magnum's clusters draw from. Default: the project.
    servers
        The servers to grant when the quota has no limit for them (-1).
    cores
        The cores to grant when the quota has no limit for them.
    memory
        The memory to grant when the quota has no limit for it, in MiB.
    tempdisc
        The tempdisc to grant, in GiB. A quota never limits disc.
    disc
        The dimension that counts a flavor's disc.
    auth
        How to sign in to Hourbook: with HOURBOOK_TOKEN or HOURBOOK_TOKEN_FILE, or with the cloud's own token, where
        Hourbook trusts that Keystone.
    """
    amounts = {"servers": servers, "cores": cores, "memory": memory, "tempdisc": tempdisc}
    options = msgspec.structs.replace(quota_options(target, when, disc, amounts), host=host.capacity())
    asked = [name for name in SERVICES if services is None or name in services]
    place = connect(cloud)
    credential = {KEYSTONE_HEADER: place.token()} if auth == "keystone" else None
    finish(sync(place, asked, target, options, parent or target.project, credential), target)


async def sync(
    cloud: Cloud,
    services: Sequence[str],
    target: Target,
    options: ImportOptions,
    parent: str,
    credential: Headers | None = None,
) -> list[ReportLine]:
    """Imports one service after the other, because clusters draw from grants. One that fails changes nothing."""
    project = await asyncio.to_thread(cloud.project)
    options = msgspec.structs.replace(options, owner=target.openstack_project or project)
    rows: list[ReportLine] = []
    async with Client(target.url, ACTOR, credential=credential) as client:
        current = await read_or_assume_empty(client, target, rows)
        for service in services:
            try:
                documents = await asyncio.to_thread(cloud.documents, service)
            except NoAnswer as error:
                rows.append(ReportLine("refused", service, str(error)))
                continue
            parsed = items_in(documents, service)
            rows += rows_of(parsed.notes, parsed.unmapped)
            # The period options are those of the quota. A Magnum cluster has no end.
            its = msgspec.structs.replace(options, start=None, end=None) if service == "magnum" else options
            rows += await apply_items(
                client, service, parsed.items, its, parent, current=current, dry_run=target.dry_run
            )
            for missing in missing_things(service, parsed.items, current, options, parent):
                rows += await apply_steps(client, plan(missing, current, options, parent), dry_run=target.dry_run)
            if not target.dry_run:
                current = await read_current(client, target.project)
    return list(dict.fromkeys(rows))


def missing_things(
    service: str, items: Sequence[Item], current: CurrentState, options: ImportOptions, parent: str
) -> list[EndedSource] | list[DeletedCluster]:
    """What an earlier sync imported and the cloud no longer has. Empty when an item has no id: then it is unknown."""
    if service == "blazar":
        leases = ids_of(items, "lease", "id")
        return [] if leases is None else missing_leases([f"blazar:{lease}" for lease in leases], current, options)
    if service == "magnum":
        uuids = ids_of(items, "cluster", "uuid")
        return [] if uuids is None else missing_clusters(uuids, current, options, parent)
    return []


def ids_of(items: Sequence[Item], kind: str, member: str) -> list[str] | None:
    ids: list[Any] = [
        item.data.get(member) if isinstance(item.data, dict) else None for item in items if item.kind == kind
    ]
    return ids if all(isinstance(one, str) for one in ids) else None
