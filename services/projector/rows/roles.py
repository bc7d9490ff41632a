"""Writes the tables role, account_member and role_head, and the generation's `roles_changed`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.projector.projections.roles import RoleChanges, RoleKey
from services.projector.rows.copying import columns_of
from shared.postgres import Connection

# A name inside a cluster continues with ".", which comes just before "/" in the order of the column (COLLATE "C").
END_ROLES = """
DELETE FROM role r USING unnest($2::text[]) AS t (cluster)
WHERE r.generation = $1 AND r.pool >= t.cluster AND r.pool < t.cluster || '/'
    AND (r.pool = t.cluster OR starts_with(r.pool, t.cluster || '.'))
"""
REVOKE = """
DELETE FROM role r USING unnest($2::text[], $3::text[], $4::text[]) AS t (pool, member, role)
WHERE r.generation = $1 AND r.pool = t.pool AND r.member = t.member AND r.role = t.role
"""
GRANT = """
INSERT INTO role (generation, pool, member, role, granted, actor)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
ON CONFLICT (generation, pool, member, role) DO UPDATE SET granted = excluded.granted, actor = excluded.actor
"""
REMOVE = """
DELETE FROM account_member m USING unnest($2::text[], $3::text[], $4::text[]) AS t (project, account, member)
WHERE m.generation = $1 AND m.project = t.project AND m.account = t.account AND m.member = t.member
"""
ADD = """
INSERT INTO account_member (generation, project, account, member, added, actor)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
ON CONFLICT (generation, project, account, member) DO UPDATE SET added = excluded.added, actor = excluded.actor
"""
SET_HEADS = """
INSERT INTO role_head (generation, project, changed) SELECT $1, * FROM unnest($2::text[], $3::bigint[])
ON CONFLICT (generation, project) DO UPDATE SET changed = excluded.changed
"""
SET_CHANGED = "UPDATE generation SET roles_changed = $2 WHERE generation = $1"


async def write_roles(connection: Connection, generation: int, changes: RoleChanges) -> None:
    if not changes.heads:
        return
    if changes.ended:
        await connection.execute(END_ROLES, generation, list(changes.ended))
    await _write(connection, generation, changes.roles, GRANT, REVOKE)
    await _write(connection, generation, changes.members, ADD, REMOVE)
    await connection.execute(SET_HEADS, generation, list(changes.heads), list(changes.heads.values()))
    await connection.execute(SET_CHANGED, generation, max(changes.heads.values()))


async def _write(
    connection: Connection, generation: int, rows: Mapping[RoleKey, tuple[Any, ...] | None], put: str, drop: str
) -> None:
    """Inserts or replaces the rows with the statement `put`, and deletes those that are None with `drop`."""
    there = [(*key, *row) for key, row in rows.items() if row is not None]
    if gone := [key for key, row in rows.items() if row is None]:
        await connection.execute(drop, generation, *columns_of(gone))
    if there:
        await connection.execute(put, generation, *columns_of(there))
