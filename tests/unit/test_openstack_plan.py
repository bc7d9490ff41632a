"""What is wanted and what is present: a second import plans nothing, a change acts from the next whole hour on."""

import json
from typing import Any

import msgspec
import pytest

from services.cli.openstack.current import CurrentState, fold
from services.cli.openstack.desired import (
    DeletedCluster,
    Desired,
    DesiredCluster,
    DesiredGrants,
    DesiredTemplate,
    EndedSource,
    ImportOptions,
    ResizeRequest,
    Unmapped,
)
from services.cli.openstack.plan import Planned, missing_clusters, missing_leases, plan
from services.cli.openstack.steps import Step
from shared.capacity import Capacity
from shared.events import Layout
from shared.hours import Period, instant_of, iso
from tests.support.openstack import NOW, hour

GIVEN = ImportOptions(project="sky", now=NOW)
SMALL, BIG = Capacity(servers=2, cores=8), Capacity(servers=4, cores=6)
LAYOUT = Layout(masterflavor="head", mastercount=1, workerflavor="node", workercount=4)
MORE = Layout(masterflavor="head", mastercount=1, workerflavor="node", workercount=6)


def planned(desired: Desired, *events: dict[str, Any], options: ImportOptions = GIVEN) -> list[Planned]:
    current = fold([json.dumps({"project": "sky", **event}).encode() for event in events], CurrentState())
    return plan(desired, current, options, "sky")


def step(desired: Desired, *events: dict[str, Any], options: ImportOptions = GIVEN) -> Step:
    (only,) = planned(desired, *events, options=options)
    assert isinstance(only, Step)
    return only


def granted(
    start: int, end: int, capacity: Capacity, source: str = "nova", grant: str = "g1", **more: Any
) -> dict[str, Any]:
    counts = {name: getattr(capacity, name) for name in ("servers", "cores", "tempdisc")}
    return {
        "type": "GrantCreated",
        "grant": grant,
        "source": source,
        "start": iso(start),
        "end": iso(end),
        "capacity": counts,
        **more,
    }


def withdrawn(start: int, end: int, grant: str = "g1") -> dict[str, Any]:
    return {"type": "GrantWithdrawn", "grant": grant, "start": iso(start), "end": iso(end), "capacity": {}}


def made(cluster: str = "sky.k8s-d41c7e0a", end: int = NOW + 900, layout: Layout = LAYOUT) -> dict[str, Any]:
    return {
        "type": "ClusterCreated",
        "cluster": cluster,
        "kind": "magnum",
        "start": iso(NOW - 100),
        "end": iso(end),
        "capacity": {"servers": 5},
        "layout": as_dict(layout),
    }


def resized(kind: str = "ClusterResized", layout: Layout = MORE, start: int = NOW, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "cluster": "sky.k8s-d41c7e0a",
        "start": iso(start),
        "end": iso(NOW + 900),
        "capacity": {"servers": 7},
        "layout": as_dict(layout),
        **more,
    }


def as_dict(layout: Layout) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(layout)
    return fields


def paths(done: Step) -> list[str]:
    return [call.path for call in done.calls]


def spans(done: Step) -> list[tuple[int, int]]:
    """The periods of the new grants."""
    return [(hour(call.body["startdate"]), hour(call.body["enddate"])) for call in done.calls if "cores" in call.body]


def quota(capacity: Capacity, period: tuple[int, int] | None = None) -> DesiredGrants:
    return DesiredGrants("nova", "nova quota", None if period is None else Period(*period), (capacity,))


def lease(*capacities: Capacity, start: int = NOW - 24, end: int = NOW + 240) -> DesiredGrants:
    return DesiredGrants("blazar:b1", "lease b1", Period(start, end), capacities)


# --- templates ---


def test_a_template_is_made_once_and_again_when_it_is_another() -> None:
    desired = DesiredTemplate("node", Capacity(servers=1, cores=8), "11")
    before = {"type": "TemplateCreated", "template": "node", "version": 1, "capacity": {"servers": 1, "cores": 8}}
    assert step(desired).outcome == "created"
    assert step(desired).calls[0].body == {
        "project": "sky",
        "name": "node",
        "servers": 1,
        "cores": 8,
        "reason": "Nova flavor 11",
    }
    assert step(desired, before).outcome == "there"
    assert step(desired, before, {**before, "version": 2, "capacity": {"cores": 4}}).outcome == "changed"


def test_the_ids_of_flavors_are_remembered_with_their_templates() -> None:
    event = {"type": "TemplateCreated", "project": "sky", "template": "node", "reason": "Nova flavor 11"}
    by_hand = {**event, "template": "mine", "reason": "because"}
    both = {**event, "template": "both", "reason": "Nova flavor 12, 13"}
    current = fold([json.dumps(one).encode() for one in (event, by_hand, both)], CurrentState())
    assert current.flavors == {"11": "node", "12": "both", "13": "both"}


# --- a quota ---


def test_a_quota_without_dates_is_granted_for_a_year_from_today() -> None:
    made = step(quota(SMALL))
    assert (made.outcome, paths(made)) == ("created", ["/novaquota/create"])
    assert made.calls[0].body == {
        "project": "sky",
        "startdate": "2026-03-01T00:00:00Z",
        "enddate": "2027-03-01T00:00:00Z",
        "servers": 2,
        "cores": 8,
        "source": "nova",
    }


def test_the_same_quota_again_is_there_whenever_it_is_imported() -> None:
    before = granted(NOW - 1000, NOW + 1000, SMALL)
    assert step(quota(SMALL), before).outcome == "there"
    assert step(quota(SMALL, (NOW - 1000, NOW + 1000)), before).outcome == "there"
    assert step(quota(SMALL, (NOW + 10, NOW + 20)), before).outcome == "there"
    assert step(quota(SMALL, (NOW - 2000, NOW + 1000)), before).outcome == "there"  # what is past stays


def test_a_changed_quota_is_another_grant_from_the_next_hour_on_and_the_old_one_is_withdrawn() -> None:
    done = step(quota(BIG), granted(NOW - 1000, NOW + 1000, SMALL))
    assert done.outcome == "changed"
    assert paths(done) == ["/novaquota/create", "/resources/g1/withdraw"]
    assert spans(done) == [(NOW, NOW + 1000)]
    assert "it was servers 2, cores 8" in done.how


def test_a_quota_for_some_hours_leaves_the_others_as_they_were() -> None:
    done = step(quota(BIG, (NOW + 100, NOW + 2000)), granted(NOW - 1000, NOW + 1000, SMALL))
    assert spans(done) == [(NOW + 100, NOW + 2000), (NOW, NOW + 100)]
    assert paths(done)[-1] == "/resources/g1/withdraw"
    inside = step(quota(BIG, (NOW + 100, NOW + 200)), granted(NOW - 1000, NOW + 1000, SMALL))
    assert spans(inside) == [(NOW + 100, NOW + 200), (NOW, NOW + 100), (NOW + 200, NOW + 1000)]


def test_a_lower_quota_is_guarded_by_a_dry_run_of_what_is_to_go() -> None:
    done = step(quota(BIG), granted(NOW - 1000, NOW + 1000, SMALL))  # 2 cores fewer
    (guard,) = done.checks
    assert guard.path == "/clusters/create"
    assert guard.body == {"parent": "sky", "startdate": iso(NOW), "enddate": iso(NOW + 1000), "cores": 2}
    assert step(quota(Capacity(servers=9, cores=9)), granted(NOW - 1000, NOW + 1000, SMALL)).checks == ()


def test_disc_that_was_granted_beside_a_quota_goes_on_until_another_amount_is_said() -> None:
    before = granted(NOW - 1000, NOW + 1000, Capacity(servers=2, cores=8, tempdisc=70))
    assert step(quota(SMALL), before).outcome == "there"
    assert step(quota(BIG), before).calls[0].body["tempdisc"] == 70
    assert step(quota(Capacity(servers=2, cores=8, tempdisc=90)), before).calls[0].body["tempdisc"] == 90


def test_a_quota_that_has_changed_already_is_there() -> None:
    events = [
        granted(NOW - 1000, NOW + 1000, SMALL),
        granted(NOW - 5, NOW + 1000, BIG, grant="g2"),
        withdrawn(NOW - 5, NOW + 1000),
    ]
    assert step(quota(BIG), *events).outcome == "there"
    assert step(quota(BIG, (NOW - 1000, NOW + 1000)), *events).outcome == "there"


def test_there_and_back_within_an_hour_has_another_key_each_time() -> None:
    first = granted(NOW - 1000, NOW + 1000, SMALL)
    second = [first, granted(NOW, NOW + 1000, BIG, grant="g2"), withdrawn(NOW, NOW + 1000)]
    third = [*second, granted(NOW, NOW + 1000, SMALL, grant="g3"), withdrawn(NOW, NOW + 1000, "g2")]
    to_big, again = step(quota(BIG), first), step(quota(BIG), *third)
    assert to_big.calls[0].body == again.calls[0].body
    assert to_big.calls[0].key != again.calls[0].key
    assert to_big.calls[0].key == step(quota(BIG), first).calls[0].key


def test_grants_of_other_sources_are_left_alone() -> None:
    others = [granted(NOW - 9, NOW + 9, SMALL, source="blazar:b1"), granted(NOW - 9, NOW + 9, SMALL, None, "g2")]  # type: ignore[arg-type]
    assert step(quota(BIG), *others).outcome == "created"


# --- leases ---


def test_a_lease_is_granted_whole_with_its_hours_gone_by() -> None:
    done = step(lease(SMALL, BIG))
    assert (done.outcome, paths(done)) == ("created", ["/resources/create"] * 2)
    assert spans(done) == [(NOW - 24, NOW + 240)] * 2
    assert {call.body["source"] for call in done.calls} == {"blazar:b1"}
    assert len({call.key for call in done.calls}) == 2


def test_two_reservations_alike_are_two_grants() -> None:
    assert len({call.key for call in step(lease(SMALL, SMALL)).calls}) == 2


def test_the_same_lease_again_is_there() -> None:
    events = [granted(NOW - 24, NOW + 240, SMALL, "blazar:b1"), granted(NOW - 24, NOW + 240, BIG, "blazar:b1", "g2")]
    assert step(lease(SMALL, BIG), *events).outcome == "there"
    assert step(lease(BIG, SMALL), *events).outcome == "there"


@pytest.mark.parametrize(
    ("start", "end", "anew", "loses"),
    [
        (NOW - 24, NOW + 480, (NOW, NOW + 480), False),  # longer
        (NOW - 24, NOW + 100, (NOW, NOW + 100), True),  # shorter
        (NOW + 500, NOW + 600, (NOW + 500, NOW + 600), True),  # moved
        (NOW - 24, NOW - 10, None, True),  # ended before it should
    ],
)
def test_a_lease_that_moves_takes_its_grants_along(
    start: int, end: int, anew: tuple[int, int] | None, loses: bool
) -> None:
    done = step(lease(SMALL, start=start, end=end), granted(NOW - 24, NOW + 240, SMALL, "blazar:b1"))
    assert done.outcome == "changed"
    assert spans(done) == ([] if anew is None else [anew])
    assert paths(done)[-1] == "/resources/g1/withdraw"
    assert bool(done.checks) == loses


def test_a_lease_that_has_changed_and_is_over_stays_as_it_was_granted() -> None:
    before = granted(NOW - 24, NOW - 4, SMALL, "blazar:b1")
    assert step(lease(SMALL, start=NOW - 24, end=NOW - 4), before).outcome == "there"
    (only,) = planned(lease(BIG, start=NOW - 24, end=NOW - 4), before)
    assert isinstance(only, Unmapped)
    assert "hours are over" in only.why


def test_a_lease_that_grants_nothing_more_is_withdrawn_once() -> None:
    revoked, before = EndedSource("blazar:b1", "lease b1"), granted(NOW - 24, NOW + 240, SMALL, "blazar:b1")
    done = step(revoked, before)
    assert paths(done) == ["/resources/g1/withdraw"]
    assert done.checks[0].body["cores"] == 8
    assert planned(revoked, before, withdrawn(NOW, NOW + 240)) == []
    assert planned(revoked) == []


def test_a_lease_that_is_missing_at_blazar_grants_nothing_more() -> None:
    events = [
        granted(NOW, NOW + 9, SMALL, "blazar:b1"),
        granted(NOW, NOW + 9, SMALL, "blazar:b2", "g2"),
        granted(NOW - 9, NOW, SMALL, "blazar:b3", "g3"),
        granted(NOW, NOW + 9, SMALL, "nova", "g4"),
    ]
    current = fold([json.dumps({"project": "sky", **event}).encode() for event in events], CurrentState())
    assert missing_leases(["blazar:b1"], current, GIVEN) == [EndedSource("blazar:b2", "lease b2")]


# --- clusters ---


def cluster(layout: Layout = LAYOUT, state: str = "applied", **times: int | None) -> DesiredCluster:
    return DesiredCluster(
        "k8s-d41c7e0a", layout, times.get("start", NOW - 50), times.get("end"), state, "no valid host"
    )


def test_a_cluster_claims_what_it_is_made_of_as_long_as_its_project_has_anything() -> None:
    done = step(cluster(), granted(NOW - 9, NOW + 1000, SMALL))
    assert paths(done) == ["/magcluster/create"]
    assert done.calls[0].body == {
        "parent": "sky",
        "name": "k8s-d41c7e0a",
        "startdate": iso(NOW - 9),
        "enddate": iso(NOW + 1000),
        "masterflavor": "head",
        "mastercount": 1,
        "workerflavor": "node",
        "workercount": 4,
    }
    assert done.fallback is not None
    assert done.fallback.body["startdate"] == iso(NOW)
    assert done.fallback.key != done.calls[0].key
    assert step(cluster(end=NOW + 7, start=NOW)).fallback is None
    assert spans_of_cluster(step(cluster(end=NOW + 7))) == (NOW - 50, NOW + 7)
    assert spans_of_cluster(step(cluster(start=None, end=NOW + 7))) == (NOW - 1, NOW + 7)


def spans_of_cluster(done: Step) -> tuple[int, int]:
    return hour(done.calls[0].body["startdate"]), hour(done.calls[0].body["enddate"])


def test_a_cluster_claims_the_hours_without_a_gap_in_what_its_project_has() -> None:
    events = [
        granted(NOW - 900, NOW - 800, SMALL),
        granted(NOW + 50, NOW + 99, SMALL, grant="g2"),
        granted(NOW - 9, NOW + 7, SMALL, grant="g3"),
        granted(NOW + 5, NOW + 20, SMALL, grant="g4"),
    ]
    assert spans_of_cluster(step(cluster(), *events)) == (NOW - 9, NOW + 20)
    assert spans_of_cluster(step(cluster(), *events[:2])) == (NOW + 50, NOW + 99)


def test_a_cluster_in_a_project_without_capacity_to_come_is_told() -> None:
    for events in ([], [granted(NOW - 9, NOW - 2, SMALL)]):
        (only,) = planned(cluster(), *events)
        assert isinstance(only, Unmapped)
        assert "no future capacity" in only.why
    (only,) = planned(cluster(end=NOW - 50))
    assert isinstance(only, Unmapped)
    assert "is not after its start" in only.why


def test_a_cluster_within_another_is_bounded_by_it() -> None:
    current = fold([json.dumps({"project": "sky", **made("sky.outer", NOW + 30)}).encode()], CurrentState())
    (done,) = plan(cluster(), current, GIVEN, "sky.outer")
    assert isinstance(done, Step)
    assert spans_of_cluster(done) == (NOW - 50, NOW + 30)


def test_the_same_cluster_again_is_there_and_another_layout_is_a_resize() -> None:
    assert step(cluster(), made()).outcome == "there"
    done = step(cluster(MORE), made())
    assert (done.outcome, paths(done)) == ("changed", ["/magcluster/sky.k8s-d41c7e0a/resize"])
    assert done.calls[0].body == {**as_dict(MORE), "status": "applied"}
    assert step(cluster(MORE), made(), resized()).outcome == "there"
    assert step(cluster(), made(), resized()).calls[0].key != step(cluster(), made(), resized(), resized()).calls[0].key


def test_a_resize_that_was_planned_for_later_is_not_yet_what_the_cluster_is_made_of() -> None:
    assert step(cluster(), made(), resized(start=NOW + 5)).outcome == "there"


def test_a_resize_in_progress_is_requested_then_applied_or_failed() -> None:
    request = resized("ClusterResizeRequested", request="r1")
    done = step(cluster(MORE, "requested"), made())
    assert done.calls[0].body["status"] == "requested"
    assert step(cluster(MORE, "requested"), made(), request).outcome == "there"
    assert paths(step(cluster(MORE), made(), request)) == ["/magcluster/sky.k8s-d41c7e0a/resizes/r1/apply"]
    failed = step(cluster(MORE, "failed"), made(), request)
    assert failed.calls[0].path.endswith("/resizes/r1/fail")
    assert failed.calls[0].body == {"error": "no valid host"}
    in_colour = step(cluster(MORE, "failed")._replace(error="no\x1b[31m host\r\n"), made(), request)
    assert in_colour.calls[0].body == {"error": "no [31m host \n"}  # which Hourbook takes
    (only,) = planned(cluster(MORE, "failed"), made(), request, {**request, "type": "ClusterResizeFailed"})
    assert isinstance(only, Unmapped)
    assert step(cluster(MORE), made(), request, resized(request="r1")).outcome == "there"


def test_a_cluster_whose_claim_has_ended_is_claimed_again_under_another_name() -> None:
    done = step(cluster(), made(end=NOW), granted(NOW - 9, NOW + 1000, SMALL))
    assert done.calls[0].body["name"] == "k8s-d41c7e0a-2"
    assert spans_of_cluster(done) == (NOW - 1, NOW + 1000)
    again = made("sky.k8s-d41c7e0a-2", NOW + 1000)
    assert step(cluster(), made(end=NOW), {**again, "start": iso(NOW - 1)}).outcome == "there"


def test_a_cluster_that_is_gone_ends_once() -> None:
    done = step(DeletedCluster("k8s-d41c7e0a"), made())
    assert (paths(done), done.calls[0].body) == (["/clusters/sky.k8s-d41c7e0a/resize"], {})
    assert planned(DeletedCluster("k8s-d41c7e0a"), made(), resized(capacity={})) == []
    assert planned(DeletedCluster("k8s-d41c7e0a"), made(end=NOW)) == []
    assert planned(DeletedCluster("k8s-d41c7e0a")) == []


def test_a_cluster_that_is_missing_at_magnum_is_gone_and_others_are_left_alone() -> None:
    events = [
        made(),
        made("sky.db-00000000"),
        made("sky.spark"),
        {**made("sky.x-11111111"), "kind": "cluster"},
        made("sky.spark.y-22222222"),
        made("sky.z-33333333", NOW),
    ]
    current = fold([json.dumps({"project": "sky", **event}).encode() for event in events], CurrentState())
    assert missing_clusters(["d41c7e0a-5b7f-4b0a-8f4e-61f0c9a2b3d4"], current, GIVEN, "sky") == [
        DeletedCluster("db-00000000")
    ]


def test_a_resize_request_changes_one_of_the_counts() -> None:
    desired = ResizeRequest("sky.k8s-d41c7e0a", None, 6)
    done = step(desired, made())
    assert done.calls[0].body == {**as_dict(MORE), "status": "requested"}
    assert step(desired, made(), resized()).outcome == "there"
    assert step(desired, made(), resized("ClusterResizeRequested", request="r1")).outcome == "there"


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([], "there is no cluster"),
        ([made(end=NOW)], "ended at"),
        ([{**made(), "layout": None}], "does not have masters"),
    ],
)
def test_a_resize_request_for_no_such_cluster_is_told(events: list[dict[str, Any]], says: str) -> None:
    (only,) = planned(ResizeRequest("sky.k8s-d41c7e0a", None, 6), *events)
    assert isinstance(only, Unmapped)
    assert says in only.why


def test_the_hour_of_the_tests_is_a_whole_one() -> None:
    assert instant_of(NOW).isoformat() == "2026-03-01T08:00:00+00:00"
