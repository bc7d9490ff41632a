"""Documents of OpenStack: what is read, what is refused with its place, and whatever else one holds."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.cli.openstack.desired import DesiredGrants, DesiredTemplate, ResizeRequest
from services.cli.openstack.document import NotJson, parse
from services.cli.openstack.mapping import SeveralOwners
from tests.support.openstack import HEAD, NODE, OWNER, cluster, cluster_template, hosts, instances, lease, mapped, quota


def test_an_ideographic_space_between_the_parts_is_read_and_noted_one_in_a_name_is_not() -> None:
    result = mapped(
        "magnum", '\ufeff{"node_count":\u30003,\n"nodegroup":\u00a0"default\u3000worker"}', cluster="sky.k8s"
    )
    assert [note.how[:14] for note in result.notes] == ["line 1: U+3000", "line 2: U+00A0"]
    (asked,) = result.desired
    assert isinstance(asked, ResizeRequest)
    assert (asked.workers, asked.group) == (3, "default-worker")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "line 1, column 2"),
        ('{"a": 1,}', "line 1, column"),
        ("<html>", "line 1, column 1"),
        ("[1, 2", "line 1"),
        ('{"a": 1} }', "line 1, column 10"),
        ("[" * 100_000, "not JSON"),
        ("1" * 5000, "not JSON"),
    ],
)
def test_what_is_not_json_is_refused_with_the_place(text: str, says: str) -> None:
    with pytest.raises(NotJson, match=says):
        parse(text, "quota.json")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "contains nothing"),
        ("[]", "contains nothing"),
        ("3", "3 is not a document"),
        ('"x"', "not a document"),
        ("{}", "members are nothing"),
        ('{"servers": []}', "members are servers"),
        ('{"quota_set": 3}', "members are quota_set"),
        ('{"itemNotFound": {"code": 404, "message": "no such project"}}', "no such project"),
        ('{"error": {"code": 401, "title": "Unauthorized", "message": "log in"}}', "log in"),
        ('{"error_code": 403, "error_message": "not yours"}', "not yours"),
        ('{"errors": [{"status": 404, "detail": "Cluster x could not be found."}]}', "could not be found"),
        ('{"leases": [{}]}', "with `hourbook import blazar`"),
        ('{"quota_set": {"cores": 1}, "x": 2}', "is missing"),
        ('{"flavors": [], "flavors_links": [{"rel": "next", "href": "h"}]}', "more pages"),
    ],
)
def test_what_is_no_document_for_the_importer_is_told(text: str, says: str) -> None:
    result = mapped("nova", text)
    assert result.desired == []
    assert any(says in one.why for one in result.unmapped)


def test_an_empty_list_is_noted() -> None:
    assert "empty" in mapped("blazar", '{"leases": []}').notes[0].how


def test_documents_one_after_the_other_are_all_read() -> None:
    text = json.dumps(quota()) + "\n" + json.dumps({"flavors": [NODE]}) + json.dumps([{"flavor": HEAD}])
    assert [type(one) for one in mapped("nova", text).desired] == [DesiredTemplate, DesiredTemplate, DesiredGrants]


def test_documents_of_several_openstack_projects_need_the_one_that_is_meant() -> None:
    mine, other = lease(instances()), lease(instances(), id="b2", project_id="0f" * 16)
    with pytest.raises(SeveralOwners, match="2 OpenStack projects"):
        mapped("blazar", json.dumps({"leases": [mine, other]}))
    result = mapped("blazar", json.dumps({"leases": [mine, other]}), owner=OWNER)
    assert len(result.desired) == 1
    assert "belongs to the OpenStack project 0f0f" in result.unmapped[0].why


WHOLE_DOCUMENTS = {
    "nova": [quota(), quota(detail=True), {"flavors": [NODE, HEAD]}],
    "blazar": [lease(instances(), hosts()), {"leases": [lease(instances(resource_type="flavor:instance"))]}],
    "magnum": [cluster(), {"clusters": [cluster()]}, cluster_template(), {"node_count": 3, "nodegroup": "x"}],
}
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.sampled_from(["-1", "9" * 400, "2026-01-01", "ACTIVE", "physical:host", '["and"]', "[[", "\u3000"]),
)


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every member and element, as what holds it and its name or number."""
    if isinstance(document, dict | list):
        names = list(document) if isinstance(document, dict) else list(range(len(document)))
        return [(document, name) for name in names] + [place for name in names for place in places(document[name])]
    return []


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_whatever_a_document_holds_is_mapped_or_told(data: st.DataObject) -> None:
    service = data.draw(st.sampled_from(sorted(WHOLE_DOCUMENTS)))
    document = json.loads(json.dumps(data.draw(st.sampled_from(WHOLE_DOCUMENTS[service]))))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, name = data.draw(st.sampled_from(places(document)))
        if data.draw(st.booleans()):
            holder[name] = data.draw(ANYTHING)
        else:
            del holder[name]
        if not places(document):
            break
    result = mapped(
        service,
        json.dumps(document),
        flavor="11",
        master_flavor="c2.head",
        cluster="sky.k8s",
        known={"c2.head": "c2.head"},
    )
    assert result.desired or result.unmapped or result.notes
