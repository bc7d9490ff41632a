"""`hourbook import nova|blazar|magnum`: imports files of JSON as OpenStack's APIs answer it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import ClientConnectionError
from cyclopts import Parameter

from services.cli.client import CONNECTION_ERRORS, DEFAULT_URL, Client, NotSignedIn, cannot_connect
from services.cli.failure import Failure
from services.cli.openstack.apply import ReportLine, apply_items, read_current, rows_of, show_report
from services.cli.openstack.current import CurrentState
from services.cli.openstack.desired import ImportOptions
from services.cli.openstack.document import NotJson, Parsed, parse
from services.cli.openstack.mapping import SeveralOwners
from services.cli.terminal import table_console
from shared.capacity import Capacity
from shared.errors import InvalidField
from shared.hours import next_hour, parse_instant, parse_period, parse_zone

ACTOR = "hourbook import"
HOURS_A_YEAR = 365 * 24

File = Annotated[str, Parameter(allow_leading_hyphen=True)]  # for "-", standard input
Disc = Literal["tempdisc", "userdisc", "datadisc", "none"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Target:
    """The project in Hourbook to import into.

    Parameters
    ----------
    project
        The project in Hourbook.
    url
        The address of Hourbook's HTTP interface.
    openstack_project
        The id of the OpenStack project to import, when the documents belong to several.
    create_project
        Create the project in Hourbook when there is none.
    dry_run
        Show what would be done, and change nothing.
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
    """The period of documents that have none.

    Parameters
    ----------
    start
        A date, or an instant on a whole hour. Default: for a quota today, for a cluster the hour of its creation.
    end
        A date, which is included, or an instant. Default: for a quota a year after the start, for a cluster the end
        of what its project is granted.
    tz
        The time zone of dates, by its IANA name.
    """

    start: str | None = None
    end: str | None = None
    tz: str = "UTC"

    def hours(self) -> tuple[int | None, int | None]:
        """Start and end in hours; None where an option is missing. Raises Failure when one is not valid."""
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
    """The size of one host, for reservations of physical hosts.

    Parameters
    ----------
    host_cores
        The cores of one host, for reservations of physical hosts.
    host_memory
        The memory of one host, in MiB.
    host_tempdisc
        The disc of one host, in GiB.
    """

    host_cores: int = 0
    host_memory: int = 0
    host_tempdisc: int = 0

    def capacity(self) -> Capacity:
        """The size as a capacity. Raises Failure when a count is not valid."""
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
    disc: Disc = "tempdisc",
) -> None:
    """
    Parameters
    ----------
    files
        JSON as Nova answers it: os-quota-sets (also in detail), limits, flavors/detail. `-` reads standard input.
    servers
        The servers to grant when the quota has no limit for them (-1).
    cores
        The cores to grant when the quota has no limit for them.
    memory
        The memory to grant when the quota has no limit for it, in MiB.
    tempdisc
        The tempdisc to grant, in GiB. A quota never limits disc.
    userdisc
        The userdisc to grant, in GiB.
    datadisc
        The datadisc to grant, in GiB.
    disc
        The dimension that counts a flavor's disc (root, ephemeral and swap).
    """
    amounts = {
        "servers": servers,
        "cores": cores,
        "memory": memory,
        "tempdisc": tempdisc,
        "userdisc": userdisc,
        "datadisc": datadisc,
    }
    run("nova", files, target, quota_options(target, when, disc, amounts))


def blazar(*files: File, target: Target, host: HostOptions = HostOptions()) -> None:
    """
    Parameters
    ----------
    files
        JSON as Blazar answers it: a lease, or a list of leases. Flavors as Nova answers them may be among the files.
        `-` reads standard input.
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
    """
    Parameters
    ----------
    files
        JSON as Magnum answers it: clusters and cluster templates (or bays and baymodels), one or a list; or the body
        of a resize request. Flavors as Nova answers them may be among the files, and become templates. `-` reads
        standard input.
    parent
        The project or cluster in Hourbook that the clusters draw from. Default: the project.
    flavor
        The workers' flavor, when neither the cluster nor its cluster template has it.
    master_flavor
        The masters' flavor, when neither the cluster nor its cluster template has it.
    cluster
        The id in Hourbook of the cluster of a resize request, as gaia.k8s-746e779a.
    worker_group
        The node group that has all workers, when it is not Magnum's default-worker.
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


def quota_options(target: Target, when: PeriodOptions, disc: Disc, amounts: Mapping[str, int | None]) -> ImportOptions:
    """The options for a quota: its period, the dimension that counts a flavor's disc, and the amounts to grant when the
    quota has no limit. An amount of None is left out. Raises Failure when an amount is not valid."""
    start, end = quota_hours(when)
    return msgspec.structs.replace(
        target.options(),
        start=start,
        end=end,
        disc=None if disc == "none" else disc,
        amounts={name: checked(name, amount) for name, amount in amounts.items() if amount is not None},
    )


def quota_hours(when: PeriodOptions) -> tuple[int | None, int | None]:
    """Start and end of a quota's period in hours. None and None: that of the present grants."""
    start, end = when.hours()
    if start is None and end is None:
        return None, None
    if start is None:
        start = next_hour(datetime.now(UTC)) // 24 * 24
    return start, end if end is not None else start + HOURS_A_YEAR


def checked(name: str, amount: int) -> int:
    """The amount of the option --`name`. Raises Failure when it is too small or too large."""
    if not 0 <= amount <= 10**12:
        raise Failure(f"--{name}: {amount} is not a number from 0 to 10^12")
    return amount


def run(
    service: str, files: tuple[str, ...], target: Target, options: ImportOptions, parent: str | None = None
) -> None:
    """Reads and imports the files, and shows the report. Exits with 1 when Hourbook refused something."""
    if not files:
        raise Failure("name a file, or - for standard input")
    if option := next((name for name in files if name.startswith("-") and name != "-"), None):
        raise Failure(f"there is no option {option}; --help shows all options")
    documents = [read_file(name) for name in files]
    report: list[ReportLine] = []
    work = import_documents(service, documents, target, options, parent or target.project, report)
    finish(work, target, report)


def finish(work: Coroutine[Any, Any, None], target: Target, report: list[ReportLine]) -> None:
    """Runs the import, shows its report, and exits. The exit status is 1 when Hourbook refused something. An import
    that is broken off shows what it did before."""
    try:
        asyncio.run(work)
    except SeveralOwners as error:
        raise Failure(f"{error}; name one of them with --openstack-project") from None
    except BaseException as error:
        if any(row.outcome not in ("note", "not mapped") for row in report):
            show_report(list(dict.fromkeys(report)), table_console(), dry_run=target.dry_run)
        if isinstance(error, CONNECTION_ERRORS):
            raise cannot_connect(target.url, error) from None
        raise
    rows = list(dict.fromkeys(report))
    show_report(rows, table_console(), dry_run=target.dry_run)
    sys.exit(1 if any(row.outcome == "refused" for row in rows) else 0)


def read_file(name: str) -> Parsed:
    """The items of a file; `-` is standard input. Raises Failure."""
    origin = "standard input" if name == "-" else Path(name).name
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return parse(content.decode(), origin)
    except UnicodeDecodeError as error:
        raise Failure(f"{origin} is not UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise Failure(f"cannot read {name}: {error.strerror}") from None
    except NotJson as error:
        raise Failure(str(error)) from None


async def import_documents(
    service: str, documents: list[Parsed], target: Target, options: ImportOptions, parent: str, report: list[ReportLine]
) -> None:
    items = [item for document in documents for item in document.items]
    report += [row for document in documents for row in rows_of(document.notes, document.unmapped)]
    async with Client(target.url, ACTOR) as client:
        current = await read_or_assume_empty(client, target, report)
        await apply_items(
            client, service, items, options, parent, current=current, dry_run=target.dry_run, report=report
        )


async def read_or_assume_empty(client: Client, target: Target, rows: list[ReportLine]) -> CurrentState:
    """The current state. A dry run that cannot read it assumes an empty one, and adds a note to `rows`."""
    try:
        return await read_current(client, target.project, create=target.create_project and not target.dry_run)
    except NotSignedIn:
        raise
    except (Failure, ClientConnectionError) as error:
        if not target.dry_run:
            raise
        rows.append(ReportLine("note", "Hourbook", f"this assumes that the project is empty: {error}"))
        return CurrentState()
