"""Under Patroni with etcd, as deploy/ha has it: the leader's machine is lost under load. `make patroni` runs it."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.patroni import PatroniCluster, UnderPatroni
from tests.support.replay import assert_all_is_there_once
from tests.support.system import System
from tests.support.writers import Writers, writing

SILENCE_S = 60.0  # Patroni's ttl is 20 s


@pytest.mark.patroni
@pytest.mark.timeout(600)
async def test_the_leaders_machine_is_lost_and_nothing_acknowledged_is(own_directory: Path) -> None:
    system = System(own_directory / f"patroni-{uuid4().hex}", UnderPatroni())
    system.start()
    try:
        with system.projector(), system.command() as command:
            cluster, writers = system.postgres, Writers(command.url, patience_s=SILENCE_S)
            assert isinstance(cluster, PatroniCluster)
            await writers.begin()
            async with writing(writers):
                await writers.grown_by(1000)
                leader = await asyncio.to_thread(cluster.leader)
                lost = time.monotonic()
                await asyncio.to_thread(leader.kill)
                await writers.grown_by(1000)
            silence = max(later - earlier for earlier, later in pairwise(writers.answered_at) if later > lost)
            print(f"\n{len(writers.acknowledged):,} acknowledged; nothing answered for {silence:.1f} s")
            leader.start()
            await asyncio.to_thread(cluster.wait_until_safe)
            await assert_all_is_there_once(system, writers.acknowledged)
    finally:
        system.stop()
