"""The commands that run one part: a service, the migrations, a rebuild. A service takes the place of this process."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from services.cli.failure import Failure
from services.cli.up.servers import DATABASE, migrations_failed
from shared.migrate import MigrationFailed
from shared.migrate import migrate as apply_migrations


def command() -> None:
    """Run the command service alone: POST …"""
    become("services.command")


def projector() -> None:
    """Run the projector alone: events become the read models."""
    become("services.projector")


def query() -> None:
    """Run the query service alone: GET …"""
    become("services.query")


def notify() -> None:
    """Run the notifier alone: notices and webhooks."""
    become("services.notify")


def sealer() -> None:
    """Run the sealer alone: the history is proven."""
    become("services.sealer")


def rebuild() -> None:
    """Build the read models anew from the events, beside the live ones, and switch to them."""
    become("services.projector", "rebuild")


def migrate() -> None:
    """Bring the database of HOURBOOK_DATABASE_URL to the newest schema; create it if there is none."""
    url = os.environ.get(DATABASE)
    if not url:
        raise Failure(f"{DATABASE} is not set: say which database to migrate, as postgresql://user:password@host/name")
    try:
        print(apply_migrations(url).strip() or "nothing to apply: the schema is the newest")
    except MigrationFailed as error:
        raise migrations_failed(error, url) from None


def become(module: str, *arguments: str) -> NoReturn:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])
