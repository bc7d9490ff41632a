"""Decoding a command's body: nothing is guessed, and an error names each bad field."""

import codecs
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.command.routes.bodies import parsed, read_body
from services.command.routes.requests import AccountRequest, BookingRequest, ProjectRequest, ReasonRequest
from shared.errors import InvalidField

BOOKING = {"project": "gaia", "account": "ada", "startdate": "2030-01-01T00:00Z", "enddate": "2030-01-02", "cores": 4}


def refused(body: bytes, kind: Any = BookingRequest) -> dict[str, str]:
    """The problem of each bad field, by field."""
    with pytest.raises(InvalidField) as error:
        read_body(body, kind)
    return {one["field"]: one["detail"] for one in error.value.facts["errors"]}


@pytest.mark.parametrize("number", ['"4"', "1e3", "4.0", "-0.0", "true", "[4]", '""', "null"])
def test_a_count_is_written_as_a_whole_number_and_in_no_other_way(number: str) -> None:
    body = json.dumps(BOOKING).replace('"cores": 4', f'"cores": {number}')
    assert refused(body.encode())["cores"].startswith("Expected `int`, got")


@pytest.mark.parametrize(
    ("field", "given_", "right"),
    [
        ("project", "gaia\n", "'gaia\\n' is not small letters, digits and dashes, 1 to 63 of them, such as gaia-dr4"),
        ("clusterid", "Gaia.x", "'Gaia.x' is not the id of a project or cluster, such as gaia or gaia.spark-small"),
        ("template", "m1 small", "'m1 small' is not letters, digits, dots, dashes and underscores"),
    ],
)
def test_a_text_of_another_shape_is_told_what_would_be_right(field: str, given_: str, right: str) -> None:
    assert refused(json.dumps(BOOKING | {field: given_}).encode())[field].startswith(right)


@pytest.mark.parametrize("truth", ["1", '"true"', "0"])
def test_true_and_false_are_no_numbers_and_no_texts(truth: str) -> None:
    assert "skip" in refused(json.dumps(BOOKING | {"skip": 7}).replace("7", truth).encode())


@pytest.mark.parametrize(
    ("body", "kind", "field"),
    [
        (b'{"project":"gaia","cores":1,"cores":2}', BookingRequest, "cores"),
        (b'{"cores" : 1, "cores"\n:2}', BookingRequest, "cores"),
        (b'{"account":":x","cores" :1,"cores":2}', BookingRequest, "cores"),
        (b'{"cores":1,"c\\u006fres":2}', BookingRequest, "cores"),
        (b'{"id":"a","name":"A","overcommit":{"beyond_hours":1,"beyond_hours":2}}', ProjectRequest, "beyond_hours"),
        (b'{"limits":{"capacity":{"cores":1,"cores":2}}}', AccountRequest, "cores"),
        (b'{"x":[{"a":1},{"b":1,"b":2}]}', ReasonRequest, "b"),
        (b'[{"b":1,"b":2}]', ReasonRequest, "b"),
    ],
)
def test_a_field_that_is_there_twice_is_named(body: bytes, kind: Any, field: str) -> None:
    assert refused(body, kind) == {field: "it is there twice; give it once"}


class Pairs(tuple[tuple[str, Any], ...]):
    """An object whose fields may occur twice."""


NAMES = st.text(alphabet='ab:" \\', max_size=3)
JSON = st.recursive(
    st.none() | st.integers(-5, 5) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(NAMES, inner), max_size=3).map(Pairs),
    max_leaves=10,
)


def written(value: Any, gap: str) -> str:
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(name)}{gap}:{gap}{written(one, gap)}" for name, one in value) + "}"
    if isinstance(value, list):
        return "[" + f",{gap}".join(written(one, gap) for one in value) + "]"
    return json.dumps(value)


def is_once(value: Any) -> bool:
    if isinstance(value, Pairs):
        return len({name for name, _ in value}) == len(value) and all(is_once(one) for _, one in value)
    return not isinstance(value, list) or all(map(is_once, value))


@given(JSON, st.sampled_from(["", " ", "\n\t"]))
def test_what_is_there_twice_is_found_however_it_is_written(value: Any, gap: str) -> None:
    body = written(value, gap).encode()
    if is_once(value):
        assert parsed(body) == json.loads(body)
    else:
        with pytest.raises(InvalidField, match="twice"):
            parsed(body)


def test_a_byte_order_mark_says_nothing_and_another_encoding_is_told() -> None:
    body = json.dumps(BOOKING)
    assert read_body(codecs.BOM_UTF8 + body.encode(), BookingRequest) == read_body(body.encode(), BookingRequest)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        assert refused(body.encode(encoding)) == {"body": "it is UTF-16 or UTF-32; send UTF-8"}
    assert "truncated" in refused(b"{")["body"]
    assert "Expected `object`" in refused(b"[]")["body"]


def test_an_unknown_field_is_named_however_deep() -> None:
    body = {"id": "gaia", "name": "Gaia", "overcommit": {"beyond_hours": 336, "x": 1}, "y": 1}
    wrong = refused(json.dumps(body).encode(), ProjectRequest)
    assert wrong.keys() == {"overcommit", "y"}
    assert "`x`" in wrong["overcommit"]
    limits = {"project": "gaia", "account": "ada", "limits": {"ahead": 1}}
    assert "`ahead`" in refused(json.dumps(limits).encode(), AccountRequest)["limits"]


def test_every_bad_field_is_named_names_among_them() -> None:
    body = BOOKING | {"account": "a\xa0b", "reason": "\x1b[2J", "cores": -1, "x": 1}
    assert refused(json.dumps(body).encode()).keys() == {"account", "reason", "cores", "x"}
    two = BOOKING | {"account": " ada", "reason": "a\x85"}
    assert refused(json.dumps(two).encode()).keys() == {"account", "reason"}


def test_a_name_is_in_its_one_spelling_when_it_has_been_read() -> None:
    assert read_body(json.dumps(BOOKING | {"account": "Zoe\u0308"}).encode(), BookingRequest).account == "Zoë"
    assert read_body(b"null", ReasonRequest | None) is None
    with pytest.raises(InvalidField):
        BookingRequest(account="ada ", startdate="2030-01-01", enddate="2030-01-01")
