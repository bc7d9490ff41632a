"""The passwords with which the services log in to PostgreSQL: one file for each, which only its owner may read.

`FOLDER/command/pgpass` is a password file as PostgreSQL's clients read it (`passfile=` in an address), with one line:
`*:*:*:ROLE:PASSWORD`. So a service's password is in no environment and on no command line. Each file has a folder of
its own, so that a container can be given its service's file and no other.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from services.cli.failure import Failure
from services.cli.up.private_files import make_private_folder, open_private
from services.cli.up.servers import DATABASE
from shared import postgres
from shared.database_roles import Login, login_name, login_url
from shared.errors import words_of
from shared.grants import SERVICES
from shared.postgres import LOST_OR_REFUSED

CONNECT_TIMEOUT_S = 5.0
LINE = re.compile(r"\*:\*:\*:((?:[^:\\\n]|\\.)+):((?:[^:\\\n]|\\.)+)\n?")
ESCAPED = re.compile(r"([:\\])")


class RoleFiles:
    """The password files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, service: str) -> Path:
        return self._folder / service / "pgpass"

    def logins(self, database: str, suffix: str = "login") -> dict[str, Login]:
        """The role of each service and its password. A file that does not exist is made, with a random password and the
        role that `login_name` says. Raises Failure for a file that cannot be used."""
        try:
            return {service: self._login(service, login_name(database, service, suffix)) for service in SERVICES}
        except OSError as error:
            raise Failure(f"cannot use the file of a role's password: {error}") from None

    def urls(self, url: str, logins: Mapping[str, Login]) -> dict[str, str]:
        """By service: the address of the database with its role and the path of its password file."""
        return {
            service: login_url(url, login.name, passfile=str(self.file(service).absolute()))
            for service, login in logins.items()
        }

    def _login(self, service: str, name: str) -> Login:
        file = self.file(service)
        if not file.exists():
            login = Login(name, secrets.token_urlsafe(24))
            self._write(file, login)
            return login
        line = LINE.fullmatch(file.read_text(encoding="utf-8"))
        if line is None:
            raise Failure(f"{file} must have one line, *:*:*:ROLE:PASSWORD (in both, \\ before each : and \\)")
        return Login(*(re.sub(r"\\(.)", r"\1", part) for part in line.groups()))

    def _write(self, file: Path, login: Login) -> None:
        for folder in (self._folder, file.parent):
            make_private_folder(folder)
        new = file.with_suffix(".new")
        new.unlink(missing_ok=True)
        with open_private(new, "x") as opened:
            opened.write(":".join(["*", "*", "*", *(ESCAPED.sub(r"\\\1", part) for part in login)]) + "\n")
        new.replace(file)


def check_logins(urls: Mapping[str, str]) -> None:
    """Connects once to each address. Raises Failure for a server that does not let the roles in."""
    for url in urls.values():
        try:
            asyncio.run(_connect(url))
        except LOST_OR_REFUSED as error:
            raise Failure(
                f"{DATABASE}: the roles of the services are made, and cannot log in: "
                f"{words_of(error)}. "
                "Let them in (in pg_hba.conf, or in the pooler before the server); or, so that all services use one "
                "role, name a role that is no superuser and has no CREATEROLE"
            ) from None


async def _connect(url: str) -> None:
    connection = await postgres.connect(url)
    await connection.close(timeout=CONNECT_TIMEOUT_S)
