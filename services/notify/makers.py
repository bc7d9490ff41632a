"""Whether the maker of each webhook still has the right to it.

A webhook sends what only managers of its project may see. So it ends when its maker is no manager any more. It stays
ended until a manager resumes it, and is then that manager's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from uuid import UUID

import msgspec

from shared.identity.principals import TOKEN, Principal, program
from shared.identity.roles import RIGHTS, Policy, limits_of, rights_on
from shared.postgres import Pool, Record

log = logging.getLogger(__name__)

NEEDED = RIGHTS["manager"]
# Why a webhook was ended.
FORBIDDEN, UNPROVEN = "forbidden", "unproven"

# A webhook whose maker was checked at a later position than that of the read models is not looked at yet.
GOING = """
SELECT w.id, w.project, w.maker, w.maker_since, t.maker AS person, t.limits,
    t.revoked_at IS NULL AND t.expires_at > now() AS valid, p.id IS NOT NULL AS known, p.groups
FROM webhook w JOIN generation g ON g.live AND w.maker_since <= g.position
LEFT JOIN token t ON w.maker = 'token:' || t.id
LEFT JOIN person p ON p.id = CASE WHEN t.id IS NULL THEN w.maker ELSE t.maker END
WHERE w.disabled IS NULL AND w.ended IS NULL
"""
ROLES = """
SELECT r.pool, r.member, array_agg(r.role) AS roles FROM role r JOIN generation g USING (generation)
WHERE g.live AND r.pool = ANY ($1) GROUP BY r.pool, r.member
"""
# Not one that was resumed meanwhile.
END = """
UPDATE webhook SET ended = $2 WHERE id = $1 AND ended IS NULL AND maker IS NOT DISTINCT FROM $3 AND maker_since = $4
"""


async def end_those_without_right(pool: Pool, policy: Policy) -> list[UUID]:
    """Ends the webhooks whose makers have no right to them, in two statements for all. Returns their ids. `policy` has
    the roles on the whole ledger. Raises asyncpg's errors."""
    webhooks = await pool.fetch(GOING)
    projects = {one["project"] for one in webhooks} - {None}
    bindings = _bindings_of(await pool.fetch(ROLES, projects) if projects else ())
    ended = []
    for one in webhooks:
        principal = principal_of(one)
        if principal is not None and not NEEDED & ~rights_on(policy, bindings, principal, one["project"]):
            continue
        why = UNPROVEN if one["maker"] is None else FORBIDDEN
        await pool.execute(END, one["id"], why, one["maker"], one["maker_since"])
        ended.append(one["id"])
        log.warning("webhook %s was ended: %s. A manager can resume it", one["id"], _said(one))
    return ended


def principal_of(record: Record) -> Principal | None:
    """The maker as it is now; None for one whom nobody knows: the token is not valid any more, the person was
    forgotten, or nobody signed in when the webhook was registered."""
    maker, groups = record["maker"], frozenset(record["groups"] or ())
    if maker is None:
        return None
    if not maker.startswith(f"{TOKEN}:"):
        return Principal(id=maker, members=groups | {maker}) if record["known"] else None
    if not record["valid"]:
        return None
    try:
        return program(maker, record["person"], groups, limits_of(record["limits"]))
    except msgspec.MsgspecError:  # limits that this version does not know
        return None


def _said(record: Record) -> str:
    if record["maker"] is None:
        return "nobody who signed in has registered it"
    where = "the whole ledger" if record["project"] is None else repr(record["project"])
    return f"its maker {record['maker']!r} is no manager of {where} any more"


def _bindings_of(records: Iterable[Record]) -> Mapping[str, Mapping[str, frozenset[str]]]:
    bindings: dict[str, dict[str, frozenset[str]]] = {}
    for pool, member, roles in records:
        bindings.setdefault(pool, {})[member] = frozenset(roles)
    return bindings
