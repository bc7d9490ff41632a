"""Each service's role of PostgreSQL: what it may do is what shared/grants.py says, and what an attacker with its
connection tries is refused."""

from __future__ import annotations

import contextlib
from itertools import product
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from services.command.handler.snapshots import DELETE, IDS, PUT, SAVE
from shared.database_roles import apply_roles, let_connect, model_of, relation_of
from shared.event_store import EventStore, Pending
from shared.grants import FUNCTIONS, OWNER, SERVICES, TABLES, group_of
from shared.migrate import migrate
from tests.support.backends import LOGINS, RUN, Postgres, as_role, connected, make_database

PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
REFUSED = asyncpg.InsufficientPrivilegeError
EVENT = "(position, stream, version, command_id, ordinal, request_hash, type, data)"
ROW = "1, 'gaia', 1, gen_random_uuid(), 0, '', 'ProjectCreated', '{}'"

ATTACKS = {
    "update an event": "UPDATE event SET data = ''",
    "delete events": "DELETE FROM event",
    "empty the history": "TRUNCATE event",
    "switch the trigger off": "ALTER TABLE event DISABLE TRIGGER ALL",
    "drop the trigger": "DROP TRIGGER event_is_append_only ON event",
    "replace the trigger's function": "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger "
    "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "switch all triggers off": "SET session_replication_role = replica",
    "insert beside append_events": f"INSERT INTO event {EVENT} VALUES ({ROW})",
    "copy beside append_events": f"COPY event {EVENT} FROM STDIN",
    "move the head back": "UPDATE event_head SET position = 0",
    "move a stream's version": "UPDATE stream_head SET version = 0",
    "make a stream": "INSERT INTO stream_head VALUES ('gaia', 5)",
    "forge a kept answer": "INSERT INTO remembered_answer VALUES (gen_random_uuid(), '', 201, '')",
    "change a signed checkpoint": "UPDATE audit_checkpoint SET note = ''",
    "delete the tree": "DELETE FROM audit_hash",
    "change a notice": "UPDATE notice SET data = '{}'",
    "change the table": "ALTER TABLE event ADD COLUMN more text",
    "drop the table": "DROP TABLE event",
    "own the table": "ALTER TABLE event OWNER TO CURRENT_USER",
    "a rule on the table": "CREATE RULE forged AS ON INSERT TO event DO INSTEAD NOTHING",
    "a trigger on the table": "CREATE TRIGGER forged BEFORE INSERT ON event EXECUTE FUNCTION refuse_change()",
    "an index that runs a function": "CREATE INDEX ON event (lower(stream))",
    "a table in public": "CREATE TABLE public.mine ()",
    "a view in public": "CREATE VIEW public.mine AS SELECT 1",
    "a function in public": "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "an operator in public": "CREATE OPERATOR public.<> (PROCEDURE = int8ne, LEFTARG = bigint, RIGHTARG = bigint)",
    "a schema": "CREATE SCHEMA mine",
    "replace append_events": "DROP FUNCTION append_events",
    "let append_events run as the caller": "ALTER FUNCTION append_events SECURITY INVOKER",
    "read a file": "SELECT pg_read_file('PG_VERSION')",
    "list a folder": "SELECT pg_ls_dir('.')",
    "write a file": "COPY event TO '/tmp/hourbook-attack'",
    "run a program to read": "COPY event TO PROGRAM 'true'",
    "run a program to write": "COPY refusal FROM PROGRAM 'true'",
    "read a file as a large object": "SELECT lo_import('/etc/passwd')",
    "write a file from a large object": "SELECT lo_export(0, '/tmp/hourbook-attack')",
    "load a library": "LOAD '/tmp/hourbook-attack.so'",
    "a function in C": "CREATE FUNCTION pg_temp.mine() RETURNS integer LANGUAGE c AS 'libc', 'getpid'",
    "become the owner": f"SET ROLE {OWNER}",
    "become a member of the owner": f"GRANT {OWNER} TO CURRENT_USER",
    "become a superuser": "ALTER ROLE CURRENT_USER SUPERUSER",
    "make a role": "CREATE ROLE mine SUPERUSER",
    "read the passwords": "SELECT rolpassword FROM pg_authid",
    "make a database": "CREATE DATABASE mine",
    "change the server's settings": "ALTER SYSTEM SET archive_command = 'true'",
    "turn the server's log off": "SET log_statement = 'none'",
    "change the catalogue": "UPDATE pg_class SET relowner = 1",
    "a foreign server": "CREATE FOREIGN DATA WRAPPER mine",
    "an event trigger": "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION refuse_change()",
    "a subscription": "CREATE SUBSCRIPTION mine CONNECTION '' PUBLICATION mine WITH (connect = false)",
}
# What one service has to do, and no other may.
ONLY = {
    "append": ("command", "SELECT append_events('{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}')"),
    "replace a snapshot": ("command", "UPDATE snapshot SET state = '' WHERE false"),
    "make a snapshot": ("command", "INSERT INTO snapshot SELECT 'gaia', 1, 1, '' WHERE false"),
    "put a piece of a snapshot": ("command", "INSERT INTO snapshot_piece SELECT 'gaia', '', '' WHERE false"),
    "log a refusal": ("command", "DELETE FROM refusal WHERE false"),
    "forget kept answers": ("command", "DELETE FROM remembered_answer WHERE false"),
    "register a webhook": ("command", "DELETE FROM webhook WHERE id IS NULL"),
    "read a webhook's secret": ("notify", "SELECT secret FROM webhook"),
    "read whole webhooks": ("notify", "SELECT to_jsonb(w) FROM webhook w"),
    "move a webhook": ("notify", "UPDATE webhook SET position = 0 WHERE id IS NULL"),
    "make a notice": ("notify", "INSERT INTO notice SELECT FROM notice WHERE false"),
    "sign a checkpoint": ("sealer", "INSERT INTO audit_checkpoint SELECT FROM audit_checkpoint WHERE false"),
    "name a key": ("sealer", "INSERT INTO audit_key SELECT FROM audit_key WHERE false"),
    "change a read model": ("projector", "UPDATE pool SET name = '' WHERE false"),
    "change a part of one": ("projector", "DELETE FROM availability_hour_1 WHERE false"),
    "move the checkpoint": ("projector", "UPDATE generation SET position = 0 WHERE false"),
    "make a generation": ("projector", "SELECT create_bare_generation()"),
    "change the past": ("projector", "UPDATE past_pool SET name = '' WHERE false"),
    "change the index": ("projector", "SELECT index_events(1)"),
}


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_what_no_service_may_do_is_refused(database_url: str, service: str) -> None:
    allowed = []
    async with connected(as_role(database_url, service)) as connection:
        for name, statement in ATTACKS.items():
            try:
                await connection.execute(statement)
            except REFUSED:
                continue
            except asyncpg.PostgresError as error:
                name = f"{name}: {error}"
            allowed.append(name)
    assert allowed == []


@pytest.mark.parametrize("what", ONLY)
async def test_what_one_service_does_no_other_may(database_url: str, what: str) -> None:
    who, statement = ONLY[what]
    for service in SERVICES:
        async with connected(as_role(database_url, service)) as connection:
            if service == who:
                await connection.execute(statement)
            else:
                with pytest.raises(REFUSED):
                    await connection.execute(statement)


async def test_no_service_becomes_another(database_url: str) -> None:
    for service, other in product(SERVICES, SERVICES):
        if service == other:
            continue
        async with connected(as_role(database_url, service)) as connection:
            for statement in (
                f"SET ROLE {group_of(other)}",
                f"SET ROLE {LOGINS[other].name}",
                f"SET SESSION AUTHORIZATION {LOGINS[other].name}",
                f"ALTER ROLE {LOGINS[other].name} PASSWORD 'mine'",
            ):
                with pytest.raises(REFUSED):
                    await connection.execute(statement)


async def test_a_right_that_is_not_ones_own_cannot_be_given(database_url: str, service: str) -> None:
    async with connected(as_role(database_url, service)) as connection:
        with contextlib.suppress(REFUSED):  # with some right PostgreSQL only warns that it gave nothing
            await connection.execute("GRANT ALL ON event TO PUBLIC")
        with pytest.raises(REFUSED):
            await connection.execute("DELETE FROM event")


async def test_the_other_ledgers_of_a_server_are_closed(postgres: Postgres, database_url: str, service: str) -> None:
    other = await make_database(postgres)
    async with connected(postgres.url_of("postgres")) as connection:
        name = other.rpartition("/")[2].partition("?")[0]
        await connection.execute(f"REVOKE ALL ON DATABASE {name} FROM {LOGINS[service].name}")
    async with connected(as_role(database_url, service)) as connection:
        assert await connection.fetchval("SELECT count(*) FROM event") == 0
    with pytest.raises(REFUSED, match="permission denied for database"):
        await asyncpg.connect(as_role(other, service))


async def test_dblink_opens_no_other_connection(database_url: str, service: str) -> None:
    async with connected(as_role(database_url, service)) as connection:
        for extension in ("dblink", "postgres_fdw", "file_fdw", "adminpack"):
            if await connection.fetchval("SELECT count(*) FROM pg_available_extensions WHERE name = $1", extension):
                with pytest.raises(REFUSED):
                    await connection.execute(f"CREATE EXTENSION {extension}")


async def test_tables_of_ones_own_do_not_deceive_a_function_of_the_owner(database_url: str) -> None:
    async with connected(as_role(database_url, "projector")) as connection:
        await connection.execute("CREATE TEMPORARY TABLE generation (generation integer, live boolean)")
        await connection.execute("INSERT INTO generation VALUES (1, false)")
        await connection.execute("SET search_path = pg_temp, public")
        with pytest.raises(asyncpg.RaiseError, match="generation 1 is live or unknown"):
            await connection.execute("SELECT public.drop_generation(1)")
    async with connected(as_role(database_url, "command")) as connection:
        with pytest.raises(REFUSED):
            await connection.execute("CREATE TEMPORARY TABLE event (LIKE public.event)")


DEFINERS = """
SELECT p.proname, p.proconfig, o.rolsuper, o.rolcanlogin FROM pg_proc p JOIN pg_roles o ON o.oid = p.proowner
WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
"""


async def test_a_function_of_the_owner_has_its_own_search_path_and_no_superusers_rights(database_url: str) -> None:
    async with connected(database_url) as connection:
        found = await connection.fetch(DEFINERS)
    assert {row["proname"] for row in found} == {name for name, function in FUNCTIONS.items() if function.as_owner}
    for row in found:
        assert "search_path=public, pg_temp" in row["proconfig"]
        assert not row["rolsuper"]
        assert not row["rolcanlogin"]


# A name of the schema `past` has its schema before it, as in shared/grants.py.
RELATIONS = """
SELECT concat(nullif(nspname, 'public') || '.', relname) AS relname FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE nspname = ANY ('{public,past}') AND relkind = ANY ('{r,p,v,m,S}')
"""
ROUTINES = """
SELECT concat(nullif(nspname, 'public') || '.', proname) AS proname, p.oid FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace WHERE nspname = ANY ('{public,past}')
"""


async def test_every_table_and_function_has_a_line(database_url: str) -> None:
    async with connected(database_url) as connection:
        relations = {row["relname"] for row in await connection.fetch(RELATIONS)}
        routines = {row["proname"] for row in await connection.fetch(ROUTINES)}
    assert {model_of(name) for name in relations} == set(TABLES), "give it a line in shared/grants.py"
    assert routines == set(FUNCTIONS), "give it a line in shared/grants.py"


async def test_each_service_has_the_rights_that_are_written_and_no_others(database_url: str) -> None:
    async with connected(database_url) as connection:
        await connection.fetchval("SELECT create_bare_generation()")
        relations = [row["relname"] for row in await connection.fetch(RELATIONS)]
        routines = await connection.fetch(ROUTINES)
        for role in SERVICES:
            login = LOGINS[role].name
            for name in relations:
                written = TABLES[model_of(name)].get(role, "")
                for privilege in PRIVILEGES:
                    assert await whole(connection, login, name, privilege) == (privilege in written.split(", ")), (
                        role,
                        name,
                        privilege,
                    )
                assert await columns(connection, login, name) == columns_written(written), (role, name)
            for row in routines:
                may = await connection.fetchval(
                    "SELECT has_function_privilege($1, $2::oid, 'EXECUTE')", login, row["oid"]
                )
                assert may == (role in FUNCTIONS[row["proname"]].services), (role, row["proname"])


async def whole(connection: Any, role: str, relation: str, privilege: str) -> bool:
    return bool(await connection.fetchval("SELECT has_table_privilege($1, $2, $3)", role, relation, privilege))


COLUMNS = """
SELECT a.privilege_type AS privilege, array_agg(c.attname::text) AS columns
FROM pg_attribute c, aclexplode(c.attacl) a
WHERE c.attrelid = $2::regclass AND pg_has_role($1, a.grantee, 'USAGE') GROUP BY 1
"""


async def columns(connection: Any, role: str, relation: str) -> dict[str, set[str]]:
    """The rights that hold for some columns only."""
    found = await connection.fetch(COLUMNS, role, relation_of(relation))
    return {row["privilege"]: set(row["columns"]) for row in found}


def columns_written(rights: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for part in rights.split(")"):
        head, _, names = part.partition(" (")
        if names:
            found.setdefault(head.split(", ")[-1], set()).update(names.split(", "))
    return found


OPEN_TO_ALL = """
SELECT 'schema ' || nspname FROM pg_namespace, aclexplode(nspacl) a
    WHERE nspname IN ('public', 'past') AND a.grantee = 0
UNION ALL SELECT 'database' FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a
    WHERE datname = current_database() AND a.grantee = 0
UNION ALL SELECT relname FROM pg_class, aclexplode(relacl) a
    WHERE relnamespace IN ('public'::regnamespace, 'past'::regnamespace) AND a.grantee = 0
UNION ALL SELECT proname FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
    WHERE pronamespace IN ('public'::regnamespace, 'past'::regnamespace) AND a.grantee = 0
"""


async def test_nothing_is_open_to_everybody(database_url: str) -> None:
    async with connected(database_url) as connection:
        assert [row[0] for row in await connection.fetch(OPEN_TO_ALL)] == []


async def test_what_a_later_migration_makes_is_closed_until_it_has_a_line(database_url: str) -> None:
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE later (secret text); CREATE VIEW seen AS SELECT * FROM later")
        await connection.execute("CREATE FUNCTION fresh() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    await apply_roles(database_url, {})
    for service in SERVICES:
        async with connected(as_role(database_url, service)) as connection:
            for statement in ("SELECT * FROM later", "SELECT * FROM seen", "SELECT fresh()"):
                with pytest.raises(REFUSED):
                    await connection.execute(statement)


async def test_rights_that_somebody_gave_are_taken_back_and_nothing_else_changes(database_url: str) -> None:
    async with connected(database_url) as connection:
        before = await connection.fetch("SELECT relname, relacl::text FROM pg_class ORDER BY 1, 2")
        await connection.execute("GRANT ALL ON event, snapshot TO hourbook_query; GRANT ALL ON event TO PUBLIC")
        await connection.execute("GRANT UPDATE (state) ON snapshot TO hourbook_notify")
        await connection.execute("GRANT EXECUTE ON FUNCTION append_events TO PUBLIC")
        await apply_roles(database_url, {})
        assert await connection.fetch("SELECT relname, relacl::text FROM pg_class ORDER BY 1, 2") == before
    async with connected(as_role(database_url, "notify")) as connection:
        for statement in ("UPDATE snapshot SET state = ''", "DELETE FROM event", ONLY["append"][1]):
            with pytest.raises(REFUSED):
                await connection.execute(statement)


async def test_the_command_service_appends_saves_a_snapshot_and_looks_up_what_is_over(database_url: str) -> None:
    async with connected(as_role(database_url, "command")) as connection:
        event = Pending("gaia", 1, uuid4(), 0, b"", "ProjectCreated", b"{}")
        assert (await EventStore(connection).append({"gaia": 0}, [event])).outcome == "stored"
        for version in (1, 2):
            await connection.execute(SAVE, "gaia", version, version, b"state")
        for statement in (IDS, PUT, DELETE):
            given = {PUT: (b"id", b"data"), DELETE: ([b"id"],)}.get(statement, ())
            await connection.execute(statement, "gaia", *given)
        assert await EventStore(connection).about("gaia", [uuid4()]) == []


async def test_the_services_keep_their_rights_while_they_are_given_again(database_url: str) -> None:
    async with connected(as_role(database_url, "query")) as connection, connection.transaction():
        assert await connection.fetchval("SELECT count(*) FROM pool") == 0
        await apply_roles(database_url, {})  # it waits for no reader
        assert await connection.fetchval("SELECT count(*) FROM live_booking") == 0


async def test_a_copy_of_a_database_lets_nobody_in_until_it_is_said(postgres: Postgres) -> None:
    url = postgres.url_of(f"closed_{RUN}")
    migrate(url)
    with pytest.raises(REFUSED):
        await asyncpg.connect(as_role(url, "query"))
    async with connected(url) as connection:
        await let_connect(connection, [LOGINS["query"].name])
    async with connected(as_role(url, "query")) as connection:
        assert await connection.fetchval("SELECT position FROM event_head") == 0
