"""TLS to PostgreSQL: `sslmode=verify-full` and `sslrootcert` in HOURBOOK_DATABASE_URL, for asyncpg and dbmate alike."""

from __future__ import annotations

import contextlib
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import trustme

from services.cli.up.embedded import EmbeddedPostgres
from services.cli.up.private_files import open_private
from shared import postgres
from shared.migrate import MigrationFailed, migrate, run_dbmate
from tests.support.backends import LOGINS, as_role
from tests.support.running import hourbook
from tests.support.system_postgres import SystemPostgres
from tests.support.tls_door import TlsDoor

HBA = "hostssl all all 127.0.0.1/32 scram-sha-256\n"  # and nothing for a connection without TLS


class Secure:
    """The address of a server that speaks TLS only, with a certificate for `localhost` that `authority` signed."""

    def __init__(self, folder: Path) -> None:
        ours, strange = trustme.CA(), trustme.CA()
        self.authority, self.stranger = folder / "authority.pem", folder / "stranger.pem"
        ours.cert_pem.write_to_path(str(self.authority))
        strange.cert_pem.write_to_path(str(self.stranger))
        self.certificate = ours.issue_cert("localhost")
        self.password, self.port = "", 0

    def url(self, mode: str, authority: Path | None = None, host: str = "localhost") -> str:
        root = "" if authority is None else f"&sslrootcert={authority}"
        return f"postgresql://hourbook:{self.password}@{host}:{self.port}/hourbook?sslmode={mode}{root}"


@contextlib.contextmanager
def behind_a_door(folder: Path) -> Iterator[Secure]:
    """The embedded server, with TLS before it."""
    secure, context = Secure(folder), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.certificate.configure_cert(context)
    server = EmbeddedPostgres(folder / "postgres", settings={"fsync": "off"})
    try:
        server.start()
        with TlsDoor(server.port, context) as door:
            secure.password, secure.port = urlsplit(server.url).password or "", door.port
            yield secure
    finally:
        server.stop(signal.SIGQUIT)


@contextlib.contextmanager
def by_itself(folder: Path) -> Iterator[Secure]:
    """A server of this system that has TLS itself."""
    secure = Secure(folder)
    files = {name: folder / name for name in ("ssl_cert_file", "ssl_key_file", "hba_file")}
    with open_private(files["ssl_key_file"], "wb") as key:
        key.write(secure.certificate.private_key_pem.bytes())
    files["ssl_cert_file"].write_bytes(secure.certificate.cert_chain_pems[0].bytes())
    files["hba_file"].write_text(HBA)
    settings = {"ssl": "on", "fsync": "off", **{name: str(path) for name, path in files.items()}}
    server = SystemPostgres(folder / "postgres", settings, files.values())
    try:
        server.start()
        secure.password, secure.port = urlsplit(server.url).password or "", server.port
        yield secure
    finally:
        server.stop(signal.SIGQUIT)


@pytest.fixture(scope="module", params=[behind_a_door, by_itself])
def secure(request: pytest.FixtureRequest, own_directory: Path) -> Iterator[Secure]:
    directory = own_directory / f"tls-{request.param.__name__}"
    directory.mkdir(mode=0o711)
    with request.param(directory) as made:
        yield made


async def test_the_certificate_of_the_authority_is_trusted(secure: Secure) -> None:
    url = secure.url("verify-full", secure.authority)
    migrate(url, LOGINS)
    connection = await postgres.connect(as_role(url, "query"))
    assert await connection.fetchval("SELECT position FROM event_head") == 0
    await connection.close()


async def test_another_authority_is_refused(secure: Secure) -> None:
    url = secure.url("verify-full", secure.stranger)
    with pytest.raises(ssl.SSLCertVerificationError):
        await postgres.connect(url)
    with pytest.raises(MigrationFailed, match="certificate"):
        run_dbmate(url, "status")


async def test_another_name_is_refused(secure: Secure) -> None:
    url = secure.url("verify-full", secure.authority, host="127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        await postgres.connect(url)
    with pytest.raises(MigrationFailed, match="certificate"):
        run_dbmate(url, "status")


async def test_a_connection_without_tls_is_refused(secure: Secure) -> None:
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        await postgres.connect(secure.url("disable"))
    with pytest.raises(MigrationFailed, match="no encryption"):
        run_dbmate(secure.url("disable"), "status")


async def test_an_authority_that_is_not_there_is_refused(secure: Secure, tmp_path: Path) -> None:
    """Nobody connects without a check because a path is wrong."""
    url = secure.url("verify-full", tmp_path / "none.pem")
    with pytest.raises((OSError, ValueError)):
        await postgres.connect(url)
    with pytest.raises(MigrationFailed):
        run_dbmate(url, "status")


def test_the_command_line_says_what_is_wrong(secure: Secure) -> None:
    failed = hourbook("migrate", HOURBOOK_DATABASE_URL=secure.url("verify-full", secure.stranger))
    assert failed.returncode == 1
    assert "HOURBOOK_DATABASE_URL: the migrations failed" in failed.stderr
    assert "Traceback" not in failed.stderr
    done = hourbook("migrate", HOURBOOK_DATABASE_URL=secure.url("verify-full", secure.authority))
    assert (done.returncode, done.stderr) == (0, "")
