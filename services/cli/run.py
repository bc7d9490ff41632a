"""The commands that run one part: a service, the migrations, a rebuild. A service replaces this process."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

from cyclopts import Parameter

from services.cli.failure import Failure
from services.cli.up.role_files import RoleFiles
from services.cli.up.servers import DATABASE, migrations_failed
from shared.database_roles import database_name
from shared.migrate import MigrationFailed, lacking
from shared.migrate import migrate as apply_migrations
from shared.postgres import LOST_OR_REFUSED
from shared.process import address_trouble

ROLES_DIR = "HOURBOOK_ROLES_DIR"


def command() -> None:
    replace_process("services.command")


def projector() -> None:
    replace_process("services.projector")


def query() -> None:
    replace_process("services.query")


def notify() -> None:
    replace_process("services.notify")


def sealer() -> None:
    replace_process("services.sealer")


def rebuild() -> None:
    replace_process("services.projector", "rebuild")


def migrate(*, wait: Annotated[bool, Parameter(negative=())] = False) -> None:
    """
    Parameters
    ----------
    wait
        Change nothing, and wait until another `hourbook migrate` has brought the database to the schema of this
        version. The role of any service may do so.
    """
    url = os.environ.get(DATABASE)
    if not url:
        raise Failure(
            f"{DATABASE} is not set: set it to the database to migrate, as postgresql://user:password@host/name"
        )
    if (trouble := address_trouble(url)) is not None:
        raise Failure(f"{DATABASE}: {trouble}")
    if wait:
        asyncio.run(wait_for_migrations(url))
    else:
        migrate_now(url)


async def wait_for_migrations(url: str, pause_s: float = 1.0) -> None:
    """Waits until the database has all migrations of this version. Says why it waits, each time the reason changes."""
    said = ""
    while True:
        try:
            missing = await lacking(url)
            why = f"the database lacks {len(missing)} migrations, such as {min(missing)}" if missing else ""
        except LOST_OR_REFUSED as error:
            why = f"{type(error).__name__}: {error}"
        if not why:
            return
        if why != said:
            print(f"hourbook: waiting for `hourbook migrate`: {why}", file=sys.stderr, flush=True)
        said = why
        await asyncio.sleep(pause_s)


def migrate_now(url: str) -> None:
    folder = os.environ.get(ROLES_DIR)
    logins = RoleFiles(Path(folder)).logins(database_name(url)) if folder else {}
    try:
        migrated = apply_migrations(url, logins)
    except MigrationFailed as error:
        raise migrations_failed(error, url) from None
    print(migrated.output.strip() or "nothing to do: the schema is the newest")
    if migrated.no_roles is None:
        print("\n".join(f"{service} logs in as {login.name}" for service, login in logins.items()))
    elif folder:
        raise Failure(f"no roles for the services: {migrated.no_roles}")
    else:
        print(f"the services have no roles of their own: {migrated.no_roles}", file=sys.stderr)


def replace_process(module: str, *arguments: str) -> NoReturn:
    """Runs a Python module in this process's place: it keeps the pid, the terminal and the signals."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])
