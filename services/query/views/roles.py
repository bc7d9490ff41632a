"""Who has which role where, and who belongs to which account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from services.query.answers.answers import Reply
from services.query.database import Database, live
from services.query.questions.roles import MembersAsked, RolesAsked, Shown, row_text
from services.query.questions.sight import Sight
from services.query.views.me import in_file
from shared.identity.auth_file import AuthFile
from shared.identity.roles import pools_above
from shared.postgres import Record

# A row without a pool says that there is none. $1 is the pool or the project of the request, $2 has the pools of
# `WHERE`, and the rest is in the order of the arguments.
ROLES = """
SELECT g.position, $1::text IS NULL OR EXISTS (
        SELECT FROM pool p WHERE p.generation = g.generation AND p.id = $1) AS known,
    r.pool, r.member, r.role, r.granted, r.actor,
    (SELECT convert_from(e.data, 'UTF8')::json ->> 'at' FROM event e WHERE e.position = r.granted) AS at
FROM generation g LEFT JOIN LATERAL (
    SELECT * FROM role
    WHERE role.generation = g.generation AND {}
        AND ($3::text IS NULL OR role.member = $3)
        AND ($4::text[] IS NULL OR role.member = ANY ($6::text[]) OR role.pool = ANY ($4) OR (
            split_part(role.pool, '.', 1) = ANY ($5::text[])
            AND EXISTS (SELECT FROM unnest($4) AS t (root) WHERE starts_with(role.pool, t.root || '.'))))
        AND (role.pool, role.member, role.role) > ($7, $8, $9)
    ORDER BY role.pool, role.member, role.role LIMIT $10
) r ON true
WHERE g.live ORDER BY r.pool, r.member, r.role
"""
EVERYWHERE = "$2::text[] IS NULL"
AROUND = "role.pool = ANY ($2::text[])"
INSIDE = """
role.pool >= ($2::text[])[1] AND role.pool < ($2::text[])[1] || '/'
AND (role.pool = ($2::text[])[1] OR role.pool > ($2::text[])[1] || '.')
"""


async def read_roles(database: Database, asked: RolesAsked, shown: Shown, file: AuthFile | None) -> Reply:
    """`{position, roles: [{pool, member, role, granted, at, actor, inherited}], next}`, ordered by pool, member and
    role. The roles of the auth file come first; None leaves them out. Raises UnknownId."""
    where, pools = EVERYWHERE, None
    if asked.pool is not None:
        where, pools = AROUND, [*pools_above(asked.pool)]
    elif asked.project is not None:
        where, pools = INSIDE, [asked.project]
    within = shown.within
    roots = None if within.everything else within.roots
    given = (asked.pool or asked.project, pools, asked.member, roots, within.around, shown.members, *asked.after)
    records = live(await database.fetch(ROLES.format(where), *given, asked.limit + 1))
    if not records[0]["known"]:
        raise asked.unknown()
    rows = [*_of_file(file, asked)] if file is not None and not any(asked.after) else []
    rows += [_row(record, asked, shown.named) for record in records[: asked.limit] if record["pool"] is not None]
    return _page(records, {"roles": rows}, ("pool", "member", "role"), asked.limit)


def _of_file(file: AuthFile, asked: RolesAsked) -> Iterator[dict[str, Any]]:
    """The roles on the whole ledger. They stand in the file, so no event has granted them."""
    for role, member in in_file(file):
        if asked.member is None or asked.member == member:
            unknown = dict.fromkeys(("granted", "at", "actor"))
            yield {"pool": None, "member": member, "role": role, **unknown, "inherited": asked.pool is not None}


def _row(record: Record, asked: RolesAsked, named: Sight) -> dict[str, Any]:
    row = {name: record[name] for name in ("pool", "member", "role", "granted", "at", "actor")}
    if not named.has(record["pool"]):
        row["actor"] = None
    return {**row, "inherited": asked.pool is not None and record["pool"] != asked.pool}


MEMBERS = """
SELECT g.position, p.id IS NOT NULL AS known, m.account, m.member, m.added, m.actor,
    (SELECT convert_from(e.data, 'UTF8')::json ->> 'at' FROM event e WHERE e.position = m.added) AS at
FROM generation g
LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1
LEFT JOIN LATERAL (
    SELECT * FROM account_member am
    WHERE am.generation = g.generation AND am.project = $1 AND ($2::text[] IS NULL OR am.account = ANY ($2))
        AND (am.account, am.member) > ($3, $4)
    ORDER BY am.account, am.member LIMIT $5
) m ON true
WHERE g.live ORDER BY m.account, m.member
"""


async def read_members(database: Database, asked: MembersAsked) -> Reply:
    """`{project, position, members: [{account, member, added, at, actor}], next}`, ordered by account and member.
    Raises UnknownId."""
    records = live(await database.fetch(MEMBERS, asked.project, asked.account, *asked.after, asked.limit + 1))
    if not records[0]["known"]:
        raise asked.unknown()
    names = ("account", "member", "added", "at", "actor")
    rows = [
        {name: record[name] for name in names} for record in records[: asked.limit] if record["account"] is not None
    ]
    return _page(records, {"project": asked.project, "members": rows}, ("account", "member"), asked.limit)


def _page(records: Sequence[Record], body: dict[str, Any], key: Sequence[str], limit: int) -> Reply:
    """A page of at most `limit` rows. A record more says that another page follows."""
    position, following = records[0]["position"], None
    if len(records) > limit:
        following = row_text(*(records[limit - 1][name] for name in key))
    encoded = msgspec.json.encode({**body, "position": position, "next": following})
    return Reply(position, encoded, following=following)
