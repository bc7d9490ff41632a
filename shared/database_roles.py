"""The roles of PostgreSQL with which the services connect: made, given their rights, and allowed to log in.

For each service there is a role that has its rights (`hourbook_command`; shared/grants.py says which) and a role that
logs in and is a member of it. A role of the first kind is of the whole server, and has rights in each database of
Hourbook. A role of the second kind may connect to one database. So whoever gets the password of one ledger's service
does not reach another ledger on the same server.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple
from urllib.parse import quote, unquote, urlencode

import asyncpg

from shared import postgres
from shared.grants import FUNCTIONS, OWNER, SCHEMAS, SERVICES, TABLES, TEMPORARY, group_of
from shared.locks import Lock
from shared.postgres import Connection, Record
from shared.postgres_hosts import parse_address

GROUPS = tuple(group_of(service) for service in SERVICES)
NAME_BYTES_MAX = 63
SCRAM_ITERATIONS = 4096
ATTEMPTS, PAUSE_S = 40, 0.05
# Another process makes the same roles at this moment, in another database of the server: try again.
MEANWHILE = (
    asyncpg.DuplicateObjectError,
    asyncpg.UniqueViolationError,
    asyncpg.InternalServerError,  # "tuple concurrently updated"
    asyncpg.DeadlockDetectedError,
)


class Login(NamedTuple):
    """A role that logs in. The password is printable ASCII."""

    name: str
    password: str


class RolesRefused(Exception):
    """The role that migrates may not make the roles. The message says why, and what would help."""


async def apply_roles(url: str, logins: Mapping[str, Login], *, own_server: bool = False) -> None:
    """Makes the roles that the server lacks, and gives each its rights in this database and no others.

    `logins` are the roles that log in, by service: made if there are none, and their passwords set. What PUBLIC may do
    in the database ends; on an `own_server`, which has only Hourbook's database, also in the databases that PostgreSQL
    makes. It may run again, and while the services run. Raises RolesRefused, and asyncpg's errors.
    """
    connection = await postgres.connect(url)
    try:
        await check_may_make_roles(connection)
        for role in (OWNER, *GROUPS):
            await persistently(partial(make_role, connection, role))
        await persistently(partial(join_owner, connection))
        await persistently(partial(apply_grants, connection))
        if own_server:
            await connection.execute(CLOSE_SERVER)
        for service, login in sorted(logins.items()):
            await persistently(partial(make_login, connection, service, login))
    except asyncpg.InsufficientPrivilegeError as error:
        role = await connection.fetchval("SELECT current_user")
        raise RolesRefused(
            f"{error}. The role {role} must own the database, and be a member of {OWNER} with ADMIN OPTION and of the "
            "roles of the services; or run `hourbook migrate` as a superuser"
        ) from None
    finally:
        await connection.close(timeout=postgres.CONNECT_TIMEOUT_S)


CLOSE_SERVER = "REVOKE ALL ON DATABASE postgres FROM PUBLIC; REVOKE ALL ON DATABASE template1 FROM PUBLIC"


async def persistently(work: Callable[[], Awaitable[None]]) -> None:
    """Does the work again while another process changes the same roles."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await work()
        except MEANWHILE:
            await asyncio.sleep(PAUSE_S * (0.5 + secrets.randbelow(1000) / 1000))
    await work()


MAY_MAKE_ROLES = """
SELECT current_user AS role, rolsuper OR rolcreaterole OR EXISTS (
    SELECT FROM pg_roles o WHERE o.rolname = $1 AND pg_has_role(current_user, o.oid, 'USAGE')) AS may
FROM pg_roles WHERE rolname = current_user
"""


async def check_may_make_roles(connection: Connection) -> None:
    """Raises RolesRefused unless this role may make roles, or somebody made it a member of the owner."""
    record = await connection.fetchrow(MAY_MAKE_ROLES, OWNER)
    if record is None or not record["may"]:
        name = "" if record is None else record["role"]
        raise RolesRefused(
            f"the role {name} may not make roles: as a superuser, run ALTER ROLE {quoted(name)} CREATEROLE, or give "
            "`hourbook migrate` the address of a superuser"
        )


ROLE_EXISTS = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)"


async def make_role(connection: Connection, role: str) -> None:
    if not await connection.fetchval(ROLE_EXISTS, role):
        await connection.execute(f"CREATE ROLE {quoted(role)} NOLOGIN")


IS_MEMBER = "SELECT rolsuper OR pg_has_role(current_user, $1, 'USAGE') FROM pg_roles WHERE rolname = current_user"


async def join_owner(connection: Connection) -> None:
    """Makes this role a member of the owner, so that it may hand the tables over and change them later."""
    if not await connection.fetchval(IS_MEMBER, OWNER):
        await connection.execute(f"GRANT {OWNER} TO CURRENT_USER")


async def make_login(connection: Connection, service: str, login: Login) -> None:
    """Makes the role that logs in for a service, sets its password, and lets it connect to this database."""
    check_login(login)
    name, group = quoted(login.name), group_of(service)
    verifier = scram_verifier(login.password)
    how = "ALTER" if await connection.fetchval(ROLE_EXISTS, login.name) else "CREATE"
    await connection.execute(f"{how} ROLE {name} LOGIN PASSWORD '{verifier}'")
    await connection.execute(f"GRANT {group} TO {name}")
    await let_connect(connection, [login.name])


async def drop_logins(url: str, logins: Mapping[str, Login]) -> None:
    """Drops the roles that log in. Raises asyncpg's errors."""
    connection = await postgres.connect(url)
    try:
        database = quoted(await connection.fetchval("SELECT current_database()"))
        for login in logins.values():
            await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM {quoted(login.name)}")
            await connection.execute(f"DROP ROLE {quoted(login.name)}")
    finally:
        await connection.close(timeout=postgres.CONNECT_TIMEOUT_S)


async def let_connect(connection: Connection, roles: Iterable[str], database: str | None = None) -> None:
    """Lets these roles and no other connect to the database (default: this one), which is Hourbook's.

    A copy of a database does not have this right of the original: all other rights it has.
    """
    named = quoted(database or await connection.fetchval("SELECT current_database()"))
    temporary = ", ".join(group_of(service) for service in TEMPORARY)
    names = ", ".join(["CURRENT_USER", *(quoted(role) for role in roles)])
    await connection.execute(
        f"REVOKE ALL ON DATABASE {named} FROM PUBLIC; GRANT CONNECT ON DATABASE {named} TO {names};"
        f"GRANT TEMPORARY ON DATABASE {named} TO {temporary}"
    )


LOCK = f"SELECT pg_advisory_xact_lock({Lock.GRANTS:d})"
RELATIONS = """
SELECT concat(nullif(n.nspname, 'public') || '.', c.relname) AS name, c.relkind::text AS kind,
    c.relowner = $1::regrole AS ours
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($2) AND c.relkind = ANY ('{r,p,v,m,S}') ORDER BY name
"""
ROUTINES = """
SELECT r.name, r.signature, r.ours FROM (
    SELECT concat(nullif(n.nspname, 'public') || '.', p.proname) AS name, p.oid::regprocedure::text AS signature,
        p.proowner = $1::regrole AS ours
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY ($2)
) r WHERE r.name = ANY ($3) ORDER BY r.signature
"""


async def apply_grants(connection: Connection) -> None:
    """Hands the tables and functions over to OWNER, takes all rights from everybody else, and gives those of
    shared/grants.py, in one transaction: nobody sees a moment without rights."""
    async with connection.transaction():
        await connection.execute(LOCK)
        await connection.execute("SET LOCAL search_path = public")
        await connection.execute(";\n".join(schema_statements()))
        await let_connect(connection, [])
        relations = await connection.fetch(RELATIONS, OWNER, list(SCHEMAS))
        routines = await connection.fetch(ROUTINES, OWNER, list(SCHEMAS), list(FUNCTIONS))
        await connection.execute(";\n".join([*table_statements(relations), *function_statements(routines)]))


NOBODY = ", ".join(("PUBLIC", *GROUPS))
# Functions that a later migration makes: nobody may call them until they have a line in shared/grants.py.
CLOSED = f"""
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC
"""


def schema_statements() -> list[str]:
    """The statements for the schemas. OWNER may make tables in them, because it is to own those that are there."""
    statements = [CLOSED]
    for schema, services in SCHEMAS.items():
        statements += [
            f"REVOKE ALL ON SCHEMA {schema} FROM {NOBODY}",
            f"GRANT USAGE ON SCHEMA {schema} TO {', '.join(map(group_of, services))}",
            f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {OWNER}",
        ]
    return statements


def table_statements(relations: Iterable[Record]) -> list[str]:
    """The statements for the tables and sequences that the database has and shared/grants.py names."""
    ours = {record["name"]: record for record in relations if model_of(record["name"]) in TABLES}
    statements = [
        f"ALTER TABLE {relation_of(name)} OWNER TO {OWNER}"
        for name, record in ours.items()
        if not record["ours"] and record["kind"] != "S"  # the sequence of a column goes with its table
    ]
    statements.append(f"REVOKE ALL ON {', '.join(map(relation_of, ours))} FROM {NOBODY}")
    alike: dict[tuple[str, str], list[str]] = {}
    for name in ours:
        for service, rights in TABLES[model_of(name)].items():
            alike.setdefault((service, rights), []).append(relation_of(name))
    statements += [
        f"GRANT {rights} ON {', '.join(names)} TO {group_of(service)}" for (service, rights), names in alike.items()
    ]
    return statements


def function_statements(routines: Iterable[Record]) -> list[str]:
    """The statements for the functions. One that runs as the owner looks for names in the schema `public` alone, so
    that its caller cannot give it other tables."""
    statements = []
    for record in routines:
        signature, function = record["signature"], FUNCTIONS[record["name"]]
        if not record["ours"]:
            statements.append(f"ALTER FUNCTION {signature} OWNER TO {OWNER}")
        if function.as_owner:
            statements.append(f"ALTER FUNCTION {signature} SECURITY DEFINER SET search_path = public, pg_temp")
        statements.append(f"REVOKE ALL ON FUNCTION {signature} FROM {NOBODY}")
        if function.services:
            groups = ", ".join(group_of(service) for service in function.services)
            statements.append(f"GRANT EXECUTE ON FUNCTION {signature} TO {groups}")
    return statements


def relation_of(name: str) -> str:
    """A name of shared/grants.py, such as `past.pool`, as SQL spells it."""
    return ".".join(map(quoted, name.split(".")))


def model_of(relation: str) -> str:
    """The read model of which this is a partition (`pool` of `pool_3`); else the relation itself."""
    model, _, generation = relation.rpartition("_")
    return model if generation.isdigit() else relation


def login_name(database: str, service: str, suffix: str = "login") -> str:
    """The name of the role that logs in for a service, as `hourbook_query_login`. It has the name of the database, for
    the roles of a server are one set."""
    return f"{database}_{service}_{suffix}"


def check_login(login: Login) -> None:
    """Raises RolesRefused for a name that PostgreSQL would cut, or a password that clients may spell in two ways."""
    if len(login.name.encode()) > NAME_BYTES_MAX:
        raise RolesRefused(
            f"the role's name {login.name} is longer than {NAME_BYTES_MAX} bytes: shorten the database's"
        )
    if not login.password or not all(" " <= letter <= "~" for letter in login.password):
        raise RolesRefused(f"the password of {login.name} must be printable ASCII, and not empty")


def login_url(url: str, name: str, **parameters: str) -> str:
    """The address with another role's name in place of its role and password. `parameters` are added to its query."""
    address = parse_address(url)
    kept = [pair for pair in address.parameters() if pair[0] not in ("user", "password", "passfile")]
    query = urlencode([*kept, *parameters.items()], quote_via=quote, safe="/,")
    return address._replace(login=quote(name, safe=""), query=query).text()


def database_name(url: str) -> str:
    """The name of the database in an address. Without one it is the role's, as PostgreSQL's own clients do."""
    address = parse_address(url)
    return address.path or unquote((address.login or "").partition(":")[0]) or "postgres"


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores of a password (SCRAM-SHA-256, RFC 5803). Made here, the password is in no log of SQL."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, SCRAM_ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{salt64}${stored64}:{server64}"


def quoted(name: str) -> str:
    """A name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
