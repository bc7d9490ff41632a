"""The database as the role that owns everything, and NATS as the administrator, for the commands that mend both."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from services.cli.failure import Failure
from services.cli.up.directory import DataDirectory, Process, default_directory
from services.cli.up.embedded import postgres_url
from services.cli.up.embedded_nats import NatsFiles, url_for
from services.cli.up.processes import started_at
from services.cli.up.servers import DATABASE, NATS
from shared.nats_access.users import ADMIN


class OwnedServers(NamedTuple):
    """The addresses of the database and of NATS. `nats_url` is empty if none is named."""

    database_url: str
    nats_url: str


def owned_servers(data_dir: Path | None) -> OwnedServers:
    """The servers that HOURBOOK_DATABASE_URL and HOURBOOK_NATS_URL name; or those of the `hourbook up` in `data_dir`,
    with all rights. Raises Failure."""
    if data_dir is None and (named := os.environ.get(DATABASE)):
        return OwnedServers(named, os.environ.get(NATS, ""))
    directory = DataDirectory(data_dir or default_directory(os.environ))
    run = directory.read_run()
    postgres, nats = (_living(run.processes.get(name) if run else None) for name in ("postgres", "nats"))
    if postgres is None or nats is None:
        raise Failure(
            f"no PostgreSQL and NATS of `hourbook up` run in {directory.path}: start `hourbook up`, give its "
            f"--data-dir, or set {DATABASE} and {NATS} to your own servers, with the owner's role and the "
            "administrator's user"
        )
    password = NatsFiles(directory.nats).logins()[ADMIN.name].password
    return OwnedServers(postgres_url(directory.postgres, postgres), url_for(ADMIN.name, password, nats))


def _living(process: Process | None) -> int | None:
    """The port of a process that still runs."""
    if process is None or started_at(process.pid) != process.started:
        return None
    return process.port
