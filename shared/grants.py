"""Who may do what in the database: one line for each table, sequence and function. `hourbook migrate` applies it.

Each service connects as a role of its own. What is not named here, no service may do. A new table or function needs a
line here (a test looks). The tables and functions belong to OWNER, as which nobody can log in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

SERVICES = ("command", "projector", "query", "notify", "sealer")
OWNER = "hourbook_owner"

Rights = Mapping[str, str]  # by service: what it may do, as GRANT spells it

WRITE = "SELECT, INSERT, UPDATE, DELETE"
EVERY = dict.fromkeys(SERVICES, "SELECT")
READ_MODEL = {"projector": WRITE, "query": "SELECT"}
PAST = {"projector": "SELECT, INSERT, UPDATE", "query": "SELECT"}
AUDIT = {"sealer": "SELECT, INSERT", "projector": "SELECT", "query": "SELECT"}
CREDENTIAL = {"command": WRITE, "query": "SELECT", "projector": "SELECT"}
PAST_VIEWS = (
    "past.account",
    "past.account_member",
    "past.availability_hour",
    "past.cluster_resize",
    "past.generation",
    "past.live_booking",
    "past.live_grant",
    "past.pool",
    "past.role",
    "past.short_hour",
    "past.template",
)
# The health of a service says how far the webhooks are, and no more about them.
FAR = "SELECT (types, kinds, position, notice, disabled, ended)"
DELIVERY = "position, notice, attempts, failures, retry_at, delivered_at, last_error, disabled"

# A table with generations (a read model) gives its rights to its partitions.
TABLES: Mapping[str, Rights] = {
    # the history: append_events writes it
    "event": EVERY,
    "event_head": EVERY,
    "stream_head": {"command": "SELECT", "query": "SELECT"},
    "store_term": {"command": "SELECT", "query": "SELECT", "sealer": "SELECT"},
    # what the command service keeps: append_and_keep writes the answers
    "remembered_answer": {"command": "SELECT, DELETE"},
    "snapshot": {"command": "SELECT, INSERT, UPDATE"},
    "snapshot_piece": {"command": "SELECT, INSERT, DELETE"},
    "blazar_lease": {"command": WRITE},
    "refusal": {"command": "SELECT, INSERT, DELETE", "query": "SELECT"},
    "refusal_id_seq": {"query": "SELECT"},
    # the read models: the functions of generations make and drop their partitions
    "generation": {**EVERY, "projector": "SELECT, UPDATE"},
    "account": READ_MODEL,
    "availability_hour": READ_MODEL,
    "cluster_resize": READ_MODEL,
    "live_booking": {**READ_MODEL, "notify": "SELECT"},
    "live_grant": READ_MODEL,
    "pool": {**READ_MODEL, "notify": "SELECT"},
    "short_hour": {**READ_MODEL, "notify": "SELECT"},
    "template": READ_MODEL,
    "role": {**READ_MODEL, "notify": "SELECT"},
    "role_head": READ_MODEL,
    "account_member": READ_MODEL,
    # the index of the history, and the read models of the past
    "event_index": {"projector": "SELECT, INSERT", "query": "SELECT", "command": "SELECT"},
    "event_index_head": {"projector": "SELECT, UPDATE", "query": "SELECT", "command": "SELECT"},
    "past_account": PAST,
    "past_booking": PAST,
    "past_change": {"projector": "SELECT, INSERT", "query": "SELECT"},
    "past_grant": PAST,
    "past_head": {"projector": "SELECT, UPDATE", "query": "SELECT", "command": "SELECT"},
    "past_hours": {"projector": "SELECT, INSERT", "query": "SELECT"},
    "past_pool": PAST,
    "past_resize": PAST,
    "past_template": PAST,
    "past_role": PAST,
    "past_account_member": PAST,
    # the read models as they were at a position: views with the rights of their owner
    **{view: {"query": "SELECT"} for view in PAST_VIEWS},
    # notices and webhooks: only the notifier reads a webhook's secret
    "notice": {
        "notify": "SELECT, INSERT",
        "query": "SELECT",
        "command": "SELECT (seq, made_at)",
        "projector": "SELECT (seq, made_at)",
    },
    "notice_head": {"notify": "SELECT, UPDATE", "query": "SELECT", "command": "SELECT", "projector": "SELECT"},
    "webhook": {
        "command": f"INSERT, DELETE, SELECT (id, project), {FAR}, UPDATE (maker, maker_since, ended)",
        "notify": f"SELECT, UPDATE ({DELIVERY}, ended)",
        "query": f"SELECT (id, url, project, types, kinds, created_by, created_at, maker, ended, {DELIVERY})",
        "projector": FAR,
    },
    "webhook_dead_letter": {
        "command": "SELECT (webhook, message), UPDATE (redeliver)",
        "notify": "SELECT, INSERT, UPDATE, DELETE",
        "query": "SELECT",
        "projector": "SELECT (webhook)",
    },
    # the signatures
    "audit_checkpoint": {**AUDIT, "command": "SELECT (size)"},
    "audit_hash": AUDIT,
    "audit_key": AUDIT,
    # people and credentials: the command service writes them, the others verify
    "identity_head": {"command": "SELECT, UPDATE", "query": "SELECT", "projector": "SELECT"},
    "person": {
        "command": WRITE,
        "query": "SELECT",
        "projector": "SELECT (id, groups)",
        "notify": "SELECT (id, groups)",
    },
    "token": {**CREDENTIAL, "notify": "SELECT (id, maker, limits, expires_at, revoked_at)"},
    "session": CREDENTIAL,
    "feed_address": CREDENTIAL,
    # dbmate's list of the migrations that were applied: `hourbook migrate --wait` reads it as any service
    "schema_migrations": EVERY,
}


class Function(NamedTuple):
    """`services` may call it. With `as_owner` it runs with the owner's rights, and is the only way to what it does."""

    services: tuple[str, ...] = ()
    as_owner: bool = False


FUNCTIONS: Mapping[str, Function] = {
    "append_and_keep": Function(("command",), as_owner=True),
    "append_events": Function(("command",), as_owner=True),
    "begin_term": Function(("command",), as_owner=True),
    "claim_term": Function(("command",), as_owner=True),
    "current_timeline": Function(("command", "query", "sealer")),
    "create_generation": Function(("projector",), as_owner=True),
    "create_bare_generation": Function(("projector",), as_owner=True),
    "complete_generation": Function(("projector",), as_owner=True),
    "index_generation": Function(("projector",), as_owner=True),
    "drop_generation": Function(("projector",), as_owner=True),
    "checksum_generation": Function(("projector",)),
    "compare_generations": Function(("projector",)),
    "described_events": Function(("projector", "query")),
    "index_events": Function(("projector",)),
    "read_models": Function(("projector",)),
    "reserved": Function(("projector", "query")),
    "stored_instant": Function(("projector", "query")),
    "stored_json": Function(("projector", "query", "notify")),
    "heal_events": Function(),  # `hourbook heal` calls it, as the owner
    "past.given_hours": Function(("query",)),
    "refuse_change": Function(),  # triggers call it: that needs no right
    "share_rights": Function(),
}

# Schemas, and which services may look into them. A name without a schema is one of the schema `public`.
SCHEMAS: Mapping[str, tuple[str, ...]] = {"public": SERVICES, "past": ("query",)}

# Temporary tables: the projector's staged hours.
TEMPORARY = ("projector",)


def group_of(service: str) -> str:
    """The role that has a service's rights. Nobody can log in as it: the roles that log in are its members."""
    return f"hourbook_{service}"
