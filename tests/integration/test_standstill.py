"""PostgreSQL ends the session of a process that stands still, so that its locks do not stay."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from shared import postgres
from shared.postgres import LEADING, LOST, PATIENT, SESSION

SHOWN = "SELECT name, setting FROM pg_settings WHERE name = ANY ($1)"
ENDED_S = 20


async def test_every_session_and_every_pool_tells_the_server_when_to_end_it(database_url: str) -> None:
    connection = await postgres.connect(database_url, server_settings=LEADING)
    shown = dict(await connection.fetch(SHOWN, [*SESSION, *LEADING]))
    await connection.close()
    assert (shown["idle_in_transaction_session_timeout"], shown["idle_session_timeout"]) == ("10000", "15000")
    assert (shown["tcp_keepalives_idle"], shown["tcp_user_timeout"]) == ("5", "20000")
    async with postgres.create_pool(database_url, min_size=0, server_settings=PATIENT) as pool:
        shown = dict(await pool.fetch(SHOWN, list(SESSION)))
    assert (shown["idle_in_transaction_session_timeout"], shown["tcp_keepalives_count"]) == ("0", "3")


async def test_who_stands_still_within_a_transaction_loses_its_session_and_its_locks(database_url: str) -> None:
    short = {"idle_in_transaction_session_timeout": "100ms"}
    connection = await postgres.connect(database_url, server_settings=short)
    other = await postgres.connect(database_url)
    await connection.execute("BEGIN; SELECT pg_advisory_xact_lock(1)")
    async with asyncio.timeout(ENDED_S):
        await other.execute("SELECT pg_advisory_lock(1)")
    with pytest.raises(LOST):
        await connection.execute("COMMIT")
    await other.close()


@pytest.mark.parametrize("error", [asyncpg.IdleInTransactionSessionTimeoutError, asyncpg.IdleSessionTimeoutError])
def test_the_servers_word_for_it_is_a_lost_connection(error: type[Exception]) -> None:
    assert issubclass(error, LOST)
