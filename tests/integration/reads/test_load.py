"""How much is booked, by account or by cluster, over HTTP."""

import pytest

from services.command.domain import ResizeCluster
from services.query.views import load
from shared.capacity import Capacity
from tests.support.project import T0
from tests.support.shown import EIGHT, Shown


def filled(shown: Shown) -> None:
    """Two accounts in the project, a cluster, and a deployment in that."""
    shown.project.grant(0, 8, 40)
    shown.project.cluster("gaia.k", 0, 8, 9)
    shown.project.cluster("gaia.k.z", 0, 8, 4)
    shown.project.book(0, 8, 2, account="ada")
    shown.project.book(2, 4, 3, pool="gaia.k.z", account="ada")
    shown.project.book(1, 3, 1, pool="gaia.k", account="bob")
    shown.project.book(0, 6, pool="gaia.k", account="bob", share=2000)
    shown.project.do(ResizeCluster(cluster="gaia.k", start=T0 + 4, end=T0 + 6, capacity=Capacity(cores=16)))


async def test_what_is_held_in_the_whole_tree_is_added_up_by_hour_and_shares_follow_the_size(shown: Shown) -> None:
    filled(shown)
    found = await shown.get("/bookings/load", project="gaia", range=EIGHT, grain="hour")
    assert found["columns"]["hours"] == [1] * 8
    by_hour = {"ada": [2, 2, 5, 5, 2, 2, 2, 2], "bob": [2, 3, 3, 2, 4, 4, 0, 0]}
    assert found["rows"] == [
        {"name": name, "bookings": 2, "min": held, "max": held, "used": held} for name, held in by_hour.items()
    ]
    assert found["others"] is None
    blocks = await shown.get("/bookings/load", project="gaia", range=EIGHT, grain="4h")
    figures = [(row["min"], row["max"], row["used"]) for row in blocks["rows"]]
    assert figures == [([2, 2], [5, 2], [14, 8]), ([2, 0], [3, 4], [10, 8])]


async def test_clusters_are_rows_too_and_an_account_is_looked_at_alone(shown: Shown) -> None:
    filled(shown)
    query = {"range": EIGHT, "grain": "8h", "by": "cluster"}
    found = await shown.get("/bookings/load", project="gaia", **query)
    assert [(row["name"], row["bookings"], row["max"]) for row in found["rows"]] == [
        ("gaia", 1, [2]),
        ("gaia.k", 2, [4]),
        ("gaia.k.z", 1, [3]),
    ]
    inside = await shown.get("/bookings/load", clusterid="gaia.k", account="ada", **query)
    assert [row["name"] for row in inside["rows"]] == ["gaia.k.z"]
    rows = await shown.table("/bookings/load", clusterid="gaia.k", **query)
    assert [(row["name"], row["min"], row["max"]) for row in rows] == [("gaia.k", "0", "4"), ("gaia.k.z", "0", "3")]


async def test_the_rest_is_added_up_as_others(shown: Shown) -> None:
    filled(shown)
    found = await shown.get("/bookings/load", project="gaia", range=EIGHT, grain="8h", by="cluster", limit=1)
    assert [row["name"] for row in found["rows"]] == ["gaia"]
    assert found["others"] == {"names": 2, "bookings": 3, "min": [0], "max": [6], "used": [24]}


async def test_sizes_of_more_hours_than_the_bound_are_not_read(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(shown)
    monkeypatch.setattr(load, "SIZES_MAX", 7)
    assert "at most 7 hours" in (await shown.ask("/bookings/load", project="gaia", range=EIGHT)).json()["detail"]
    found = await shown.get("/bookings/load", project="gaia", range=EIGHT, account="ada")  # who has no shares
    assert len(found["rows"]) == 1


async def test_another_dimension_and_a_wrong_one(shown: Shown) -> None:
    filled(shown)
    found = await shown.get("/bookings/load", project="gaia", range=EIGHT, grain="8h", dimension="memory")
    assert {value for row in found["rows"] for value in row["max"]} == {0}
    wrong = {
        "dimension": {"dimension": "cores,memory"},
        "by": {"by": "pool"},
        "grain": {"range": "2085-01-01,2089-01-01"},
    }
    for field, asked in wrong.items():
        query = {"project": "gaia", "range": EIGHT, "grain": "hour", **asked}
        assert await shown.problem("/bookings/load", **query) == (400, field)
