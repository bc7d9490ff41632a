"""The cluster that other tests fail over: it must lose and keep what they say it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pg_cluster import PgCluster, pg_cluster


@pytest.fixture
def cluster(own_directory: Path) -> Iterator[PgCluster]:
    with pg_cluster(own_directory / "cluster", synchronous=True) as cluster:
        yield cluster


def test_a_primary_is_lost_comes_back_as_a_standby_and_is_promoted_again(cluster: PgCluster) -> None:
    first = cluster.primary
    first.ask("CREATE TABLE written (number int)")
    first.ask("INSERT INTO written VALUES (1)")
    cluster.wait_for_standbys(False)
    cluster.hold_back(cluster.standbys[0])
    first.ask("INSERT INTO written VALUES (2)")
    first.kill()

    second = cluster.promote()
    assert second is not first
    assert second.ask("SELECT sum(number) FROM written") == 1, "the standby was held back"
    second.ask("INSERT INTO written VALUES (4)")
    cluster.come_back(first)
    cluster.wait_until_caught_up()
    assert first.ask("SELECT sum(number) FROM written") == 5, "what only the first had is taken back"
    cluster.wait_for_standbys(True)
    second.ask("INSERT INTO written VALUES (8)")

    second.pause()
    cluster.promote()
    second.resume()
    assert cluster.primary is first
    assert first.ask("SELECT sum(number) FROM written") == 13
    cluster.come_back(second, rewind=False)
    assert second.ask("SELECT pg_is_in_recovery()")
