"""`hourbook roles list`, `roles grant` and `roles revoke`: over HTTP, with the caller's own credential."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

from cyclopts import Parameter

from services.cli.client import Client
from services.cli.output import Output, show
from services.cli.requests import Url, accepted, over_http, read_pages
from shared.events import Role

ACTOR = "hourbook roles"
Pool = Annotated[str, Parameter(help="The project or the cluster, such as gaia or gaia.spark.")]
Member = Annotated[
    str, Parameter(help="A person (ISSUER:SUBJECT) or a group (group:ISSUER:GROUP); the auth file names the issuers.")
]
RoleName = Annotated[Role, Parameter(help="The role.")]
Why = Annotated[str | None, Parameter(help="The reason. The history keeps it.")]


def list_(
    *,
    project: str | None = None,
    pool: str | None = None,
    member: str | None = None,
    output: Output = "table",
    url: Url = None,
) -> None:
    """
    Parameters
    ----------
    project
        Only roles in this project.
    pool
        Only roles that hold on this project or cluster: those on it, and those on what is around it.
    member
        Only roles of this person or group.
    """
    given = {"project": project, "pool": pool, "member": member}
    query = {name: value for name, value in given.items() if value is not None}
    rows = over_http(url, ACTOR, lambda client: read_pages(client, "/roles", "roles", query))
    if output == "table":  # a role of the auth file is on no pool, and one for everyone has no member
        everywhere = {"pool": "the whole ledger", "member": "everyone", "actor": "the auth file"}
        rows = [row | {name: row[name] or words for name, words in everywhere.items()} for row in rows]
    show(rows, ("pool", "role", "member", "at", "actor"), output)


def grant(pool: Pool, role: RoleName, member: Member, /, *, reason: Why = None, url: Url = None) -> None:
    print(over_http(url, ACTOR, lambda client: change(client, "grant", pool, role, member, reason)))


def revoke(pool: Pool, role: RoleName, member: Member, /, *, reason: Why = None, url: Url = None) -> None:
    print(over_http(url, ACTOR, lambda client: change(client, "revoke", pool, role, member, reason)))


async def change(client: Client, what: str, pool: str, role: str, member: str, reason: str | None) -> str:
    """Sends the command. Returns the sentence that says what became of it. Raises Failure."""
    body: dict[str, Any] = {"pool": pool, "role": role, "member": member}
    sent = await client.send(f"/roles/{what}", body | ({"reason": reason} if reason else {}), uuid4().hex)
    answer = accepted(*sent)
    now = "has" if what == "grant" else "does not have"
    before = "" if answer["decided"] else ", as before"
    return f"{member} {now} the role {role} on {pool}{before}"
