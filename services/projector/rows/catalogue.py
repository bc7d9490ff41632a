"""Writes the tables template and account."""

from __future__ import annotations

import msgspec

from services.projector.projections.catalogue import CatalogueChanges
from shared.events import Limits
from shared.postgres import Connection

ADD_TEMPLATE = """
INSERT INTO template (generation, project, name, version, servers, cores, memory, tempdisc, userdisc, datadisc, actor,
                      created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
ADD_ACCOUNT = """
INSERT INTO account (generation, project, account, name, limits, closed, created) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
SET_LIMITS = "UPDATE account SET limits = $4 WHERE generation = $1 AND project = $2 AND account = $3"
CLOSE = "UPDATE account SET closed = true WHERE generation = $1 AND project = $2 AND account = $3"


async def write_catalogue(connection: Connection, generation: int, changes: CatalogueChanges) -> None:
    if changes.templates:
        await connection.executemany(
            ADD_TEMPLATE,
            [
                (generation, row.project, row.name, row.version, *row.counts, row.actor, row.created)
                for row in changes.templates
            ],
        )
    if changes.accounts:
        await connection.executemany(
            ADD_ACCOUNT,
            [
                (generation, row.project, row.account, row.name, encoded(row.limits), row.closed, row.created)
                for row in changes.accounts.values()
            ],
        )
    if changes.limits:
        limits = [(generation, *key, encoded(limits)) for key, limits in changes.limits.items()]
        await connection.executemany(SET_LIMITS, limits)
    if changes.closed:
        await connection.executemany(CLOSE, [(generation, *key) for key in changes.closed])


def encoded(limits: Limits) -> str:
    """The limits as JSON, as the column `limits` has them."""
    return msgspec.json.encode(limits).decode()
