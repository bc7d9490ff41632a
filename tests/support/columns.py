"""Looks for a text in every table of the database."""

from __future__ import annotations

from typing import Any

COLUMNS = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = 'public' AND table_name IN (SELECT tablename FROM pg_tables)
"""


async def places_of(database: Any, text: str) -> set[str]:
    """The columns in which the text stands, whatever their type: `table.column`."""
    places = set()
    for table, column, kind in await database.fetch(COLUMNS):
        written = f"encode(\"{column}\", 'escape')" if kind == "bytea" else f'"{column}"::text'
        if await database.fetchval(f'SELECT EXISTS (SELECT FROM "{table}" WHERE strpos({written}, $1) > 0)', text):
            places.add(f"{table}.{column}")
    return places
