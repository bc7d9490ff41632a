"""Random histories that the domain accepts give the same read models as plain SQL. hypothesis makes and shrinks
them."""

import random

import asyncpg
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.projector.generation import load_generation, prepare, write_batch
from shared.events import encode_event
from tests.support.backends import Postgres, make_database
from tests.support.histories import history
from tests.support.oracle import bound, bound_rows, oracle, table


@given(chance=st.randoms(use_true_random=False), length=st.integers(2, 60), batch=st.integers(1, 20))
@settings(
    max_examples=40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
async def test_in_any_batches_the_table_is_what_the_notes_query_gives(
    postgres: Postgres, chance: random.Random, length: int, batch: int
) -> None:
    events = history(chance, length)
    connection = await asyncpg.connect(await make_database(postgres))
    try:
        await prepare(connection)
        generation = await load_generation(connection)
        stored = [encode_event(event) for event in events]
        while generation.position < len(stored):
            await write_batch(connection, generation, stored[generation.position :][:batch])
        assert await table(connection) == await oracle(connection, events)
        assert await bound_rows(connection) == bound(events)
    finally:
        await connection.close()
