"""What is said of a setting that is wrong: the variable's own name, and what would be right."""

from __future__ import annotations

import msgspec
import pytest

from services.command.settings import Settings
from shared.settings import settings_from


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ACKNOWLEDGE", "both", "Invalid enum value 'both' - at HOURBOOK_ACKNOWLEDGE: it is one of store, stream$"),
        ("STREAM_REPLICAS", "6", "Expected `int` <= 5 - at HOURBOOK_STREAM_REPLICAS$"),
        ("COMMAND_PORT", "x", "Expected `int`, got `str` - at HOURBOOK_COMMAND_PORT$"),
    ],
)
def test_a_wrong_setting_is_named_as_its_variable_is(name: str, value: str, said: str) -> None:
    environment = {"HOURBOOK_DATABASE_URL": "postgresql://h/d", f"HOURBOOK_{name}": value}
    with pytest.raises(msgspec.ValidationError, match=said):
        settings_from(environment, Settings)


def test_a_setting_that_is_missing_is_named() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"^there is no HOURBOOK_DATABASE_URL$"):
        settings_from({}, Settings)
