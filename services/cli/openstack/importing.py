"""`hourbook import nova|blazar|magnum`: files that OpenStack's own APIs answered become commands of Hourbook's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import ClientConnectionError
from cyclopts import Parameter
from rich.console import Console

from services.cli.client import CONNECTION_ERRORS, DEFAULT_URL, Client, cannot_connect
from services.cli.failure import Failure
from services.cli.openstack.apply import ReportLine, apply_items, read_current, rows_of, show_report
from services.cli.openstack.current import CurrentState
from services.cli.openstack.desired import ImportOptions
from services.cli.openstack.document import NotJson, Parsed, parse
from services.cli.openstack.mapping import SeveralOwners
from shared.capacity import Capacity
from shared.errors import InvalidField
from shared.hours import next_hour, parse_instant, parse_period, parse_zone

ACTOR = "hourbook import"
PIPED_WIDTH = 200
HOURS_A_YEAR = 365 * 24

File = Annotated[str, Parameter(allow_leading_hyphen=True)]  # for -


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Target:
    """Where it goes.

    Parameters
    ----------
    project
        The project of Hourbook's.
    url
        The address of Hourbook's HTTP interface.
    openstack_project
        The id of the OpenStack project whose things are taken, where the documents are of several.
    create_project
        Create the project at Hourbook if there is none.
    dry_run
        Show what would be done, and do nothing.
    """

    project: str
    url: str = DEFAULT_URL
    openstack_project: str | None = None
    create_project: bool = False
    dry_run: bool = False

    def options(self) -> ImportOptions:
        return ImportOptions(project=self.project, now=next_hour(datetime.now(UTC)), owner=self.openstack_project)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PeriodOptions:
    """The period, where the documents have none.

    Parameters
    ----------
    start
        A date or an instant on a whole hour. Default: a quota's is today, a cluster's the hour in which it was made.
    end
        A date, which is included, or an instant. Default: a quota's is a year after the start, a cluster's the end of
        what its project is granted.
    tz
        The IANA zone of dates.
    """

    start: str | None = None
    end: str | None = None
    tz: str = "UTC"

    def hours(self) -> tuple[int | None, int | None]:
        """Raises Failure for what is no time."""
        try:
            zone = parse_zone(self.tz)
            if self.start is not None and self.end is not None:
                return parse_period(self.start, self.end, zone, fields=("start", "end"))
            return (
                None if self.start is None else parse_instant(self.start, "start", zone),
                None if self.end is None else parse_instant(self.end, "end", zone, is_end=True),
            )
        except InvalidField as error:
            raise Failure(f"--{error}") from None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class HostOptions:
    """What one host has, of a reservation of physical hosts.

    Parameters
    ----------
    host_cores
        What one host has, of a reservation of physical hosts.
    host_memory
        As host_cores, in MiB.
    host_tempdisc
        As host_cores, in GiB.
    """

    host_cores: int = 0
    host_memory: int = 0
    host_tempdisc: int = 0

    def capacity(self) -> Capacity:
        """Raises Failure for what is no count."""
        return Capacity(
            cores=checked("host-cores", self.host_cores),
            memory=checked("host-memory", self.host_memory),
            tempdisc=checked("host-tempdisc", self.host_tempdisc),
        )


def nova(
    *files: File,
    target: Target,
    when: PeriodOptions = PeriodOptions(),
    servers: int | None = None,
    cores: int | None = None,
    memory: int | None = None,
    tempdisc: int | None = None,
    userdisc: int | None = None,
    datadisc: int | None = None,
    disc: Literal["tempdisc", "userdisc", "datadisc", "none"] = "tempdisc",
) -> None:
    """Quota sets become grants, flavors become templates.

    Parameters
    ----------
    files
        JSON as Nova answers it: os-quota-sets (also in detail), limits, flavors/detail. - is standard input.
    servers
        What is granted of it where the quota is unlimited (-1).
    cores
        As servers.
    memory
        As servers, in MiB.
    tempdisc
        What is granted of it beside the quota, which limits no disc, in GiB.
    userdisc
        As tempdisc.
    datadisc
        As tempdisc.
    disc
        What a flavor's disc (root, ephemeral and swap) is counted as.
    """
    amounts = {
        "servers": servers,
        "cores": cores,
        "memory": memory,
        "tempdisc": tempdisc,
        "userdisc": userdisc,
        "datadisc": datadisc,
    }
    start, end = quota_hours(when)
    options = msgspec.structs.replace(
        target.options(),
        start=start,
        end=end,
        disc=None if disc == "none" else disc,
        amounts={name: checked(name, amount) for name, amount in amounts.items() if amount is not None},
    )
    run("nova", files, target, options)


def blazar(*files: File, target: Target, host: HostOptions = HostOptions()) -> None:
    """Leases become grants, with the source `blazar:<lease id>`.

    Parameters
    ----------
    files
        JSON as Blazar answers it: a lease, a list of leases. Flavors as Nova answers them may go with it. - is standard
        input.
    """
    run("blazar", files, target, msgspec.structs.replace(target.options(), host=host.capacity()))


def magnum(
    *files: File,
    target: Target,
    when: PeriodOptions = PeriodOptions(),
    parent: str | None = None,
    flavor: str | None = None,
    master_flavor: str | None = None,
    cluster: str | None = None,
    worker_group: str | None = None,
) -> None:
    """Clusters of masters and workers become clusters of Hourbook's, resize requests are noted.

    Parameters
    ----------
    files
        JSON as Magnum answers it: clusters and cluster templates (or bays and baymodels), one or a list; the body of a
        resize request. Flavors as Nova answers them may go with it, and become templates. - is standard input.
    parent
        The project or cluster of Hourbook's that they are drawn from. Default: the project.
    flavor
        The workers' flavor, where neither the cluster nor its cluster template says it.
    master_flavor
        The masters' flavor, likewise.
    cluster
        The cluster of Hourbook's that a resize request is for, as gaia.k8s-746e779a.
    worker_group
        The node group that holds all workers, if it is not Magnum's default-worker.
    """
    start, end = when.hours()
    options = msgspec.structs.replace(
        target.options(),
        start=start,
        end=end,
        flavor=flavor,
        master_flavor=master_flavor,
        cluster=cluster,
        worker_group=worker_group,
    )
    run("magnum", files, target, options, parent)


def quota_hours(when: PeriodOptions) -> tuple[int | None, int | None]:
    """Both ends of a quota's period, or none when neither was said: then it is what is granted already."""
    start, end = when.hours()
    if start is None and end is None:
        return None, None
    if start is None:
        start = next_hour(datetime.now(UTC)) // 24 * 24
    return start, end if end is not None else start + HOURS_A_YEAR


def checked(name: str, amount: int) -> int:
    if not 0 <= amount <= 10**12:
        raise Failure(f"--{name}: {amount} is not a number from 0 to 10^12")
    return amount


def run(
    service: str, files: tuple[str, ...], target: Target, options: ImportOptions, parent: str | None = None
) -> None:
    """Reads the files, carries them out, shows what became of them. Exits with 1 when Hourbook refused something."""
    if not files:
        raise Failure("name a file, or - for standard input")
    if option := next((name for name in files if name.startswith("-") and name != "-"), None):
        raise Failure(f"there is no option {option}; --help shows those that there are")
    documents = [read_file(name) for name in files]
    finish(import_documents(service, documents, target, options, parent or target.project), target)


def finish(work: Coroutine[Any, Any, list[ReportLine]], target: Target) -> None:
    """Does the work, shows what became of each thing, and exits."""
    try:
        rows = asyncio.run(work)
    except SeveralOwners as error:
        raise Failure(f"{error}; --openstack-project says which of them is meant") from None
    except CONNECTION_ERRORS as error:
        raise cannot_connect(target.url, error) from None
    show_report(rows, console(), dry_run=target.dry_run)
    sys.exit(1 if any(row.outcome == "refused" for row in rows) else 0)


def console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def read_file(name: str) -> Parsed:
    origin = "standard input" if name == "-" else Path(name).name
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return parse(content.decode(), origin)
    except UnicodeDecodeError as error:
        raise Failure(f"{origin} is not UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise Failure(f"{name} cannot be read: {error.strerror}") from None
    except NotJson as error:
        raise Failure(str(error)) from None


async def import_documents(
    service: str, documents: list[Parsed], target: Target, options: ImportOptions, parent: str
) -> list[ReportLine]:
    items = [item for document in documents for item in document.items]
    rows = [row for document in documents for row in rows_of(document.notes, document.unmapped)]
    async with Client(target.url, ACTOR) as client:
        current = await read_or_assume_empty(client, target, rows)
        return [
            *rows,
            *await apply_items(client, service, items, options, parent, current=current, dry_run=target.dry_run),
        ]


async def read_or_assume_empty(client: Client, target: Target, rows: list[ReportLine]) -> CurrentState:
    """A dry run needs no Hourbook: what cannot be asked is taken not to be there, and that is noted."""
    try:
        return await read_current(client, target.project, create=target.create_project and not target.dry_run)
    except (Failure, ClientConnectionError) as error:
        if not target.dry_run:
            raise
        rows.append(ReportLine("note", "Hourbook", f"all is shown as if nothing were there yet: {error}"))
        return CurrentState()
