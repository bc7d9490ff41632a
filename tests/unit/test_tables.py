"""A spreadsheet executes no cell of an exported table, and each cell shows its stored text."""

import csv
import io
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.query.render.tables import table, table_lines

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


@pytest.mark.parametrize("begins", DANGEROUS)
def test_a_text_that_a_spreadsheet_would_carry_out_begins_with_an_apostrophe(begins: str) -> None:
    assert read(table_lines([[f"{begins}1+1", "ada"]])) == [[f"'{begins}1+1", "ada"]]


def test_a_raw_json_text_is_a_text_too() -> None:
    assert table_lines([[msgspec.Raw(b"-1"), msgspec.Raw(b'{"a":1}')]]) == b'\'-1,"{""a"":1}"\r\n'


def test_a_number_is_a_number_also_when_it_is_less_than_nothing() -> None:
    assert table_lines([[-4, 0, 7]]) == b"-4,0,7\r\n"


def test_truth_is_told_as_in_json_nothing_is_nothing_and_an_instant_ends_with_z() -> None:
    assert table_lines([[True, False, None, datetime(2030, 1, 1, tzinfo=UTC)]]) == (
        b"true,false,,2030-01-01T00:00:00Z\r\n"
    )


def test_a_name_that_holds_what_separates_is_quoted() -> None:
    assert table([{"a": 'x,"y"', "b": 1, "c": "left out"}], ["a", "b"]) == b'a,b\r\n"x,""y""",1\r\n'


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=2)))
def test_who_takes_one_apostrophe_from_the_beginning_has_what_was_there(rows: list[list[str]]) -> None:
    told = read(table_lines(rows))
    assert not any(cell.startswith(DANGEROUS) for row in told for cell in row)
    assert [[cell.removeprefix("'") for cell in row] for row in told] == rows


def read(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline="")))
