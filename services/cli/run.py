"""The commands that run one part: a service, the migrations, a rebuild. A service replaces this process."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from services.cli.failure import Failure
from services.cli.up.servers import DATABASE, migrations_failed
from shared.migrate import MigrationFailed
from shared.migrate import migrate as apply_migrations


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


def migrate() -> None:
    url = os.environ.get(DATABASE)
    if not url:
        raise Failure(
            f"{DATABASE} is not set: set it to the database to migrate, as postgresql://user:password@host/name"
        )
    try:
        print(apply_migrations(url).strip() or "nothing to do: the schema is the newest")
    except MigrationFailed as error:
        raise migrations_failed(error, url) from None


def replace_process(module: str, *arguments: str) -> NoReturn:
    """Runs a Python module in this process's place: it keeps the pid, the terminal and the signals."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])
