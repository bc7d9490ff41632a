"""Rules for names: every character is visible, and there is one spelling. An error says what is wrong."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidField
from shared.names import asked_name, checked_name, checked_text, composed, shown, spellings
from tests.support.names import NAMES, NO_NAMES


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_of_any_script_is_taken_as_it_is(name: str) -> None:
    assert checked_name(name, "account") == name


@pytest.mark.parametrize(("name", "says"), NO_NAMES.items(), ids=ascii)
def test_what_is_no_name_is_told_what_is_wrong(name: str, says: str) -> None:
    with pytest.raises(InvalidField, match=says) as refused:
        checked_name(name, "account")
    assert refused.value.field == "account"


def test_a_name_is_counted_in_its_one_spelling() -> None:
    assert checked_name("e\u0301" * 200, "account") == "é" * 200
    for name in ("é" * 201, "e\u0301" * 201, "\ufb2c" * 100):  # the last one has three characters in NFC
        with pytest.raises(InvalidField, match="1 to 200 characters"):
            checked_name(name, "account")


@given(st.text(min_size=1, max_size=40))
def test_a_name_that_is_taken_is_one_spelling_and_stays_it(text: str) -> None:
    try:
        name = checked_name(text, "account")
    except InvalidField:
        return
    assert name == checked_name(name, "account") == composed(name)
    assert name.strip() == name != ""
    assert not {unicodedata.category(character) for character in name} & {"Cc", "Cs", "Co", "Zl", "Zp"}
    for spelling in ("NFC", "NFD"):
        other = unicodedata.normalize(spelling, text)
        assert checked_name(other, "account") == name
        assert name in spellings(asked_name(other, "account"))


def test_what_was_stored_before_there_was_a_rule_can_be_asked_for() -> None:
    for name in ("a\xa0b", "a\x85b", " ada ", "a\u202eb", "Zoe\u0308", "a\tb", "x" * 200):
        assert name in spellings(asked_name(name, "account"))
    for name in ("", "a\0b", "a\nb", "x" * 801):
        with pytest.raises(InvalidField):
            asked_name(name, "account")


def test_a_text_may_have_lines_and_other_blanks_but_nothing_that_hides() -> None:
    for text in ("one\ntwo\tthree", "a\xa0b", "شكرا\u200f!", "soft\xadhyphen", "👩\u200d🔬"):
        assert checked_text(text, "reason") == shown(text) == text
    for text in ("a\rb", "a\x1b[2J", "a\x85b", "a\u2028b", "a\u202eb", "a\u2066b"):
        with pytest.raises(InvalidField, match=r"U\+\w{4} at character 2"):
            checked_text(text, "reason")
        assert checked_text(shown(text), "reason") == text[0] + " " + text[2:]
