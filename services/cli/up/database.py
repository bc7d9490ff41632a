"""The address of the database, for the commands that read or write it themselves."""

from __future__ import annotations

import os
from pathlib import Path

from services.cli.failure import Failure
from services.cli.up.directory import DataDirectory, default_directory
from services.cli.up.servers import DATABASE


def database_of(data_dir: Path | None, service: str) -> str:
    """HOURBOOK_DATABASE_URL, or the address that the service (`query` …) has in the `hourbook up` in `data_dir`: with
    its role, and the rights of its role. Raises Failure."""
    if data_dir is None and (named := os.environ.get(DATABASE)):
        return named
    directory = DataDirectory(data_dir or default_directory(os.environ))
    run = directory.read_run()
    url = "" if run is None else run.database_urls.get(service, "")
    if not url:
        raise Failure(
            f"nothing runs in {directory.path}: start `hourbook up`, give the --data-dir of the one that runs, "
            f"or set {DATABASE}"
        )
    return url
