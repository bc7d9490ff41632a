"""`hourbook token create`, `token list` and `token revoke`: over HTTP, or by the operator in the database."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from services.cli.access.operators import in_database
from services.cli.client import Client, decoded
from services.cli.failure import Failure
from services.cli.output import Output, cell, show
from services.cli.requests import Url, accepted, over_http, read_pages
from services.cli.up.private_files import open_private
from shared.errors import InvalidField
from shared.events import Role
from shared.identity.roles import Limit
from shared.identity.tokens import (
    DAYS,
    DAYS_MAX,
    Mine,
    begin,
    checked_limits,
    create_token,
    expiry,
    read_tokens,
    revoke_token,
)
from shared.names import checked_name, is_pool_id
from shared.postgres import Connection

ACTOR = "hourbook token"
Operator = Annotated[
    bool, Parameter(negative=(), help="Work in the database of the ledger, on its own machine, without a credential.")
]
DataDir = Annotated[
    Path | None,
    Parameter(help="With --operator: the data directory that was given to `hourbook up`. Default: the same as there."),
]


class Made(NamedTuple):
    """A token that was made. `secret` None: the answer that had it was lost."""

    id: str
    expires: str
    secret: str | None


def create(
    name: str,
    /,
    *,
    role: Role,
    pool: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
    days: Annotated[int, Parameter(validator=Number(gte=1, lte=DAYS_MAX))] = DAYS,
    out: Path | None = None,
    output: Annotated[Output, Parameter(help="The token alone, or JSON for programs.")] = "table",
    operator: Operator = False,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """
    Parameters
    ----------
    name
        What the token is for, to show to people.
    role
        The token may do no more than this role may.
    pool
        The project or cluster on which it may, and on everything inside. It may be given several times. Default: the
        whole ledger.
    days
        In how many days it expires.
    out
        Write the token into this new file, which only its owner may read, and show it nowhere.
    """
    limits = limits_of(role, pool)
    with _written(out) as write:
        if operator:
            made = in_database(data_dir, lambda connection: _create(connection, name, limits, days))
        else:
            made = over_http(url, ACTOR, lambda client: _ask(client, name, limits, days))
        if made.secret is None:
            raise Failure(
                f"the token {made.id} was made, but its answer was lost: run `hourbook token revoke {made.id}`, and"
                " make another"
            )
        write(made.secret)
    _say(made, out, output)


def list_(*, output: Output = "table", operator: Operator = False, url: Url = None, data_dir: DataDir = None) -> None:
    if operator:
        rows = in_database(data_dir, _all_tokens)
    else:
        rows = over_http(url, ACTOR, lambda client: read_pages(client, "/tokens", "tokens", {}))
    if output == "table":
        rows = [row | {"may": _may(row["limits"]), "maker": row["maker"] or "the operator"} for row in rows]
    show(rows, ("id", "name", "may", "maker", "created", "expires", "revoked"), output)


def revoke(token: UUID, /, *, operator: Operator = False, url: Url = None, data_dir: DataDir = None) -> None:
    """
    Parameters
    ----------
    token
        The id of the token, as `hourbook token list` shows it.
    """
    if operator:
        in_database(data_dir, lambda connection: revoke_token(connection, token, Mine(None)))
    else:
        over_http(url, ACTOR, lambda client: _revoke(client, token))
    print(f"{token} is revoked; within five seconds no service takes it")


def limits_of(role: Role, pools: Sequence[str]) -> tuple[Limit, ...]:
    """The limits that the options mean. Raises Failure."""
    if wrong := [pool for pool in pools if not is_pool_id(pool)]:
        raise Failure(f"--pool: {wrong[0]!r} is not the id of a project or cluster, such as gaia or gaia.spark")
    try:
        return checked_limits([Limit(role, pool) for pool in pools or (None,)], "--pool")
    except InvalidField as error:
        raise Failure(str(error)) from None


async def _create(connection: Connection, name: str, limits: Sequence[Limit], days: int) -> Made:
    await begin(connection)
    made = await create_token(connection, checked_name(name, "name"), None, limits, expiry(None, days))
    return Made(str(made.id), made.expires.isoformat(), made.secret)


async def _ask(client: Client, name: str, limits: Sequence[Limit], days: int) -> Made:
    body = {"name": name, "limits": [{"role": limit.role, "pool": limit.pool} for limit in limits], "days": days}
    status, answered = await client.send("/tokens/create", body, uuid4().hex)
    if status >= 400:
        refused = decoded(answered)
        hint = (
            "; on the machine of the ledger, --operator needs no credential" if refused.code == "person_needed" else ""
        )
        raise Failure(refused.detail + hint)
    body = msgspec.json.decode(answered)
    return Made(body["id"], body["expires"], body["secret"])


async def _revoke(client: Client, token: UUID) -> None:
    accepted(*await client.send(f"/tokens/{token}/revoke", None, uuid4().hex))


async def _all_tokens(connection: Connection) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after: UUID | None = None
    while True:
        page, after = await read_tokens(connection, Mine(None), after)
        rows += msgspec.json.decode(msgspec.json.encode(page))
        if after is None:
            return rows


def _may(limits: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{limit['role']} on {limit.get('pool') or 'the whole ledger'}" for limit in limits)


@contextlib.contextmanager
def _written(file: Path | None) -> Iterator[Callable[[str], object]]:
    """A function that writes the token into the file. The file is made before the token is, and removed if there is
    none. Does nothing without a file. Raises Failure."""
    if file is None:
        yield lambda _: None
        return
    try:
        opened = open_private(file, "x")
    except OSError as error:
        raise Failure(f"--out: cannot make {file}: {error.strerror}") from None
    with opened:
        try:
            yield lambda secret: opened.write(f"{secret}\n")
        except BaseException:
            file.unlink()
            raise


def _say(made: Made, out: Path | None, output: str) -> None:
    """Shows the token on standard output, so that a shell can take it; all else goes to standard error."""
    if output == "json":
        told = {"id": made.id, "expires": made.expires} | ({"token": made.secret} if out is None else {"out": str(out)})
        print(msgspec.json.encode(told).decode())
        return
    if out is None:
        print(made.secret)
    where = f"It is in {out}" if out is not None else "Keep it now: nothing shows it again"
    print(f"The token {made.id} expires at {cell(made.expires)}. {where}.", file=sys.stderr)
