"""Making the roles: by many at the same time, by a role that is no superuser, with the passwords of files."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from services.cli.failure import Failure
from services.cli.up.embedded import EmbeddedPostgres
from services.cli.up.role_files import RoleFiles
from shared.database_roles import Login, RolesRefused, check_login, database_name, login_url
from shared.grants import OWNER, SERVICES
from shared.migrate import lacking, migrate
from tests.support.backends import connected
from tests.support.running import WAIT_S, hourbook, inherited
from tests.support.system_postgres import SystemPostgres

OWNED = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations'"


@pytest.fixture(params=[EmbeddedPostgres, SystemPostgres])
def server(own_directory: Path, request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """A server without a role of ours. Who may make roles, and what for, is another matter before PostgreSQL 16."""
    made: EmbeddedPostgres = request.param(own_directory / f"roles-{uuid4().hex}", settings={"fsync": "off"})
    try:
        made.start()
        yield made
    finally:
        made.stop(signal.SIGQUIT)


async def test_many_make_them_at_the_same_time(server: EmbeddedPostgres) -> None:
    logins = {service: Login(f"same_{service}", "secret") for service in SERVICES}
    urls = [server.url_of(f"ledger_{number}") for number in range(6)]
    migrated = await asyncio.gather(*(asyncio.to_thread(migrate, url, logins) for url in urls + urls))
    assert {made.no_roles for made in migrated} == {None}
    for url in urls:
        async with connected(login_url(url, "same_query", password="secret")) as connection:
            assert await connection.fetchval("SELECT position FROM event_head") == 0


async def test_a_role_that_may_make_roles_is_enough(server: EmbeddedPostgres) -> None:
    async with connected(server.url_of("postgres")) as connection:
        await connection.execute("CREATE ROLE admin LOGIN CREATEROLE CREATEDB PASSWORD 'admin'")
    url = login_url(server.url_of("ledger"), "admin", password="admin")
    logins = {service: Login(f"ledger_{service}", f"{service} of: all\\") for service in SERVICES}
    for _ in range(2):
        assert migrate(url, logins).no_roles is None
    async with connected(server.url_of("ledger")) as connection:
        assert [row[0] for row in await connection.fetch(OWNED)] == [OWNER]
    for service, login in logins.items():
        async with connected(login_url(url, login.name, password=login.password)) as connection:
            assert await connection.fetchval("SELECT position FROM event_head") == 0
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("DELETE FROM event")
            assert await connection.fetchval("SELECT current_user") == f"ledger_{service}"


async def test_a_role_that_owns_its_database_alone_makes_none_and_goes_on_as_before(server: EmbeddedPostgres) -> None:
    async with connected(server.url_of("postgres")) as connection:
        await connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
        await connection.execute("CREATE DATABASE ledger OWNER plain")
    url = login_url(server.url_of("ledger"), "plain", password="plain")
    assert 'ALTER ROLE "plain" CREATEROLE' in (migrate(url).no_roles or "")
    async with connected(url) as connection:
        assert await connection.fetchval("SELECT position FROM event_head") == 0
    async with connected(server.url_of("postgres")) as connection:
        await connection.execute("ALTER ROLE plain CREATEROLE")
    assert migrate(url).no_roles is None
    async with connected(url) as connection:  # a service that still connects as this role goes on
        await connection.execute("UPDATE event_head SET position = position")
        assert await connection.fetchval("SELECT create_bare_generation()") == 2


async def test_a_member_of_the_owner_applies_what_an_administrator_prepared(server: EmbeddedPostgres) -> None:
    async with connected(server.url_of("postgres")) as connection:
        await connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
        await connection.execute("CREATE DATABASE ledger OWNER plain")
    assert migrate(server.url_of("other")).no_roles is None  # the roles of the services are made
    async with connected(server.url_of("postgres")) as connection:
        await connection.execute(f"GRANT {OWNER} TO plain")
    assert migrate(login_url(server.url_of("ledger"), "plain", password="plain")).no_roles is None
    async with connected(server.url_of("ledger")) as connection:
        assert [row[0] for row in await connection.fetch(OWNED)] == [OWNER]


async def test_a_role_that_owns_its_database_alone_migrates_beside_a_ledger_with_roles(
    server: EmbeddedPostgres,
) -> None:
    async with connected(server.url_of("postgres")) as connection:
        await connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
        await connection.execute("CREATE DATABASE ledger OWNER plain")
    assert migrate(server.url_of("other")).no_roles is None
    assert migrate(login_url(server.url_of("ledger"), "plain", password="plain")).no_roles is not None
    async with connected(server.url_of("ledger")) as connection:
        assert [row[0] for row in await connection.fetch(OWNED)] == ["plain"]


def waiting_at(url: str) -> subprocess.Popen[str]:
    environment = {**inherited(), "HOURBOOK_DATABASE_URL": url}
    command = [sys.executable, "-m", "services.cli", "migrate", "--wait"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


async def test_a_service_waits_until_its_schema_is_there(server: EmbeddedPostgres, tmp_path: Path) -> None:
    files = RoleFiles(tmp_path / "roles")
    logins = files.logins(database_name(server.url))
    url = files.urls(server.url, logins)["sealer"]
    with waiting_at(url) as waiting:
        assert waiting.stderr is not None
        assert "waiting for `hourbook migrate`: " in await asyncio.to_thread(waiting.stderr.readline)
        await asyncio.to_thread(migrate, server.url, logins)
        assert await asyncio.to_thread(waiting.wait, WAIT_S) == 0
    assert await lacking(url) == set()
    async with connected(server.url) as connection:
        newest = await connection.fetchval("SELECT max(version) FROM schema_migrations")
        await connection.execute("DELETE FROM schema_migrations WHERE version = $1", newest)
    assert await lacking(url) == {newest}


async def test_passwords_come_from_files_and_change_with_them(server: EmbeddedPostgres, tmp_path: Path) -> None:
    folder = tmp_path / "roles"
    settings = {"HOURBOOK_DATABASE_URL": server.url, "HOURBOOK_ROLES_DIR": str(folder)}
    done = hourbook("migrate", **settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert "query logs in as hourbook_query_login" in done.stdout
    files = RoleFiles(folder)
    first = files.logins(database_name(server.url))
    for login in first.values():
        assert login.password not in done.stdout + server.log.read_text()
    url = files.urls(server.url, first)["query"]
    async with connected(url) as connection:
        assert await connection.fetchval("SELECT current_user") == "hourbook_query_login"
    files.file("query").unlink()
    assert hourbook("migrate", **settings).returncode == 0
    async with connected(url):
        assert files.logins("hourbook")["query"].password != first["query"].password
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(login_url(server.url, first["query"].name, password=first["query"].password))


def test_a_file_with_more_than_a_password_is_named(tmp_path: Path) -> None:
    files = RoleFiles(tmp_path)
    assert set(files.logins("ledger")) == set(SERVICES)
    files.file("notify").write_text("secret\n")
    with pytest.raises(Failure, match="notify/pgpass must have one line"):
        files.logins("ledger")
    files.file("notify").write_text("*:*:*:a\\:b:c\\\\d\n")
    assert files.logins("ledger")["notify"] == Login("a:b", "c\\d")


@pytest.mark.parametrize("login", [Login("x" * 64, "secret"), Login("a", ""), Login("a", "gehäim"), Login("a", "a\nb")])
def test_a_name_or_a_password_that_clients_would_read_otherwise_is_refused(login: Login) -> None:
    with pytest.raises(RolesRefused):
        check_login(login)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://me:secret@h:5/db?sslmode=disable", "postgresql://you@h:5/db?sslmode=disable&passfile=/a%20b"),
        ("postgresql://h/db?user=me&password=x", "postgresql://you@h/db?passfile=/a%20b"),
        ("postgresql://me@h1:1,h2:2/db?passfile=/x", "postgresql://you@h1:1,h2:2/db?passfile=/a%20b"),
        ("postgresql:///db?host=/run/x", "postgresql://you@/db?host=/run/x&passfile=/a%20b"),
    ],
)
def test_an_address_keeps_all_but_the_role_and_its_password(url: str, expected: str) -> None:
    assert login_url(url, "you", passfile="/a b") == expected
