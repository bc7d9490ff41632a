"""`hourbook sync openstack`: imports the present state of a cloud."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from services.cli.client import Client
from services.cli.openstack.apply import ReportLine, apply_items, apply_steps, read_current, rows_of
from services.cli.openstack.cloud import Cloud, connect
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
from services.cli.openstack.service import NoAnswer, NotInCatalogue

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
        The services to read, each with a --services of its own. Default: those of all three that the cloud has.
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
    work = Sync(place, target, options, parent or target.project, [])
    client = client_of(target, place, auth)
    finish(sync(work, client, asked, if_there=services is None), target, work.report)


def client_of(target: Target, cloud: Cloud, auth: Literal["token", "keystone"]) -> Client:
    """The client of Hourbook. With the cloud's token, it gets a new one when Hourbook does not take it any more."""
    if auth == "token":
        return Client(target.url, ACTOR)
    credential = {KEYSTONE_HEADER: cloud.token()}
    return Client(target.url, ACTOR, credential=credential, renew=lambda: {KEYSTONE_HEADER: cloud.token(new=True)})


class Sync(NamedTuple):
    """A sync: from where, to where, and how."""

    cloud: Cloud
    target: Target
    options: ImportOptions
    parent: str
    report: list[ReportLine]


async def sync(work: Sync, client: Client, services: Sequence[str], *, if_there: bool = False) -> None:
    """Imports one service after the other, because clusters draw from grants. One that fails changes nothing: all of it
    is read before a command is sent. `if_there`: a service that the cloud does not have is a note."""
    project = await asyncio.to_thread(work.cloud.project)
    work = work._replace(options=msgspec.structs.replace(work.options, owner=work.target.openstack_project or project))
    async with client:
        current = await read_or_assume_empty(client, work.target, work.report)
        for service in services:
            try:
                documents = await asyncio.to_thread(work.cloud.documents, service)
            except NoAnswer as error:
                is_note = if_there and isinstance(error, NotInCatalogue)
                work.report.append(ReportLine("note" if is_note else "refused", service, str(error)))
                continue
            await take_over(work, client, service, documents, current)
            if not work.target.dry_run:
                current = await read_current(client, work.target.project)


async def take_over(
    work: Sync, client: Client, service: str, documents: list[dict[str, Any]], current: CurrentState
) -> None:
    """Applies what a service answered, and ends what it no longer has."""
    parsed, dry_run, report = items_in(documents, service), work.target.dry_run, work.report
    report += rows_of(parsed.notes, parsed.unmapped)
    # The period options are those of the quota. A Magnum cluster has no end.
    its = msgspec.structs.replace(work.options, start=None, end=None) if service == "magnum" else work.options
    await apply_items(client, service, parsed.items, its, work.parent, current=current, dry_run=dry_run, report=report)
    for missing in missing_things(service, parsed.items, current, work.options, work.parent):
        planned = plan(missing, current, work.options, work.parent)
        await apply_steps(client, planned, dry_run=dry_run, report=report)


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
