"""How many rows a statement of the query service reads, as PostgreSQL counts them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from services.query.database import SERVER_SETTINGS
from shared.postgres import Connection

GENERIC = SERVER_SETTINGS["plan_cache_mode"]


async def rows_read(connection: Connection, statement: str, *arguments: object, mode: str = GENERIC) -> int:
    """The rows of tables that the statement has looked at, those included that it did not want. By default it is
    planned for all arguments, as the query service has its statements planned; `mode`: a plan_cache_mode."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL plan_cache_mode = {mode}; SET LOCAL jit = off")
        await connection.execute(f"PREPARE measured AS {statement}")
        given = ", ".join(literal(argument) for argument in arguments)
        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE measured ({given})")
        await connection.execute("DEALLOCATE measured")
    return sum(_looked_at(node) for node in _nodes(json.loads(plan)[0]["Plan"]))


def literal(value: object) -> str:
    """The value as a literal of SQL."""
    match value:
        case None:
            return "NULL"
        case bool() | int():
            return str(value)
        case datetime():
            return f"'{value.isoformat()}'"
        case timedelta():
            return f"'{value.total_seconds()} s'"
        case list() | tuple():
            return "'{" + ",".join(str(one) for one in value) + "}'"
    return "'" + str(value).replace("'", "''") + "'"


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _looked_at(node: Mapping[str, Any]) -> int:
    """A step of the plan that reads a table gives some rows and leaves out others, each time that it is taken."""
    if "Relation Name" not in node:
        return 0
    left_out = sum(count for name, count in node.items() if name.startswith("Rows Removed by "))
    return round((node["Actual Rows"] + left_out) * node["Actual Loops"])
