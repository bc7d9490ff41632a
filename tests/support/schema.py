"""The schema of a migrated database as text. `python -m tests.support.schema` writes the file that holds it.

pg_dump comes with the embedded server. It can read every older server too, so the text is the same for all of them.
"""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
from pathlib import Path

from services.cli.up.embedded import EmbeddedPostgres, postgres_programs
from shared.migrate import MIGRATIONS, migrate

SCHEMA = MIGRATIONS / "schema.sql"
HEAD = """\
-- The schema of the database as it is today, for readers. The migrations beside this file make the schema; nothing runs
-- this file. After a new migration, `make schema` writes it again. A test compares it with what the migrations make.

"""
OPTIONS = (
    "--schema-only",
    "--no-owner",
    "--no-privileges",
    "--exclude-table=schema_migrations",  # dbmate makes it: the migrations that were applied
    "--exclude-table=*_[0-9]*",  # the partitions of a generation: create_generation makes them
)
NOISE = re.compile(r"^(--.*|SET .*;|SELECT pg_catalog\.set_config\(.*;|\\(un)?restrict .*)\n", re.MULTILINE)


def schema_of(database_url: str) -> str:
    """The schema without what depends on the server, its settings and the machine. Raises CalledProcessError."""
    command = [str(postgres_programs(None) / "pg_dump"), *OPTIONS, f"--dbname={database_url}"]
    dumped = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    plain = NOISE.sub("", dumped).replace("public.", "")
    return HEAD + re.sub(r"\n{3,}", "\n\n", plain).strip() + "\n"


def write_schema() -> None:
    """Makes a server and a database for the migrations, and writes the schema that they make."""
    with tempfile.TemporaryDirectory(prefix="hourbook-schema-") as directory:
        Path(directory).chmod(0o711)
        server = EmbeddedPostgres(Path(directory) / "postgres", settings={"fsync": "off"})
        try:
            server.start()
            migrate(server.url_of("schema"))
            SCHEMA.write_text(schema_of(server.url_of("schema")))
        finally:
            server.stop(signal.SIGQUIT)


if __name__ == "__main__":
    write_schema()
