"""The contract of the stored events: `golden/<Type>.<version>.json` holds bytes as the store does, for ever.

A golden file is written once, with its event type or its new version, and never changed: what it holds has been stored
by somebody. A new field of an event (which has a default) comes with a new version of the specimen beside the old one:
`golden/<Type>.<version>.<what>.json`.
"""

from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from shared.events import EVENT_TYPES, Event, decode_event, decode_events, encode_event
from shared.events.schemas import event_schemas
from shared.events.upcasting import name_of, version_of
from tests.unit.specimens import EVERY_FIELD, REQUIRED_FIELDS, WITH_NODES

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.iterdir())
ENDINGS = {"json": EVERY_FIELD, "bare.json": REQUIRED_FIELDS, "nodes.json": WITH_NODES}
SPECIMENS = [(ending, event) for ending, events in ENDINGS.items() for event in events]


def golden(event: Event, ending: str) -> bytes:
    return (GOLDEN / f"{type(event).__name__}.{version_of(type(event))}.{ending}").read_bytes().removesuffix(b"\n")


@pytest.mark.parametrize(("ending", "event"), SPECIMENS)
def test_an_event_is_stored_as_it_ever_was(ending: str, event: Event) -> None:
    assert encode_event(event) == golden(event, ending)


@pytest.mark.parametrize(("ending", "event"), SPECIMENS)
def test_what_was_stored_means_what_it_ever_meant(ending: str, event: Event) -> None:
    assert decode_event(golden(event, ending)) == event


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_whatever_was_ever_stored_is_still_read(file: Path) -> None:
    stored = file.read_bytes().removesuffix(b"\n")
    assert name_of(type(decode_event(stored))) == file.name.split(".")[0]
    assert decode_events([stored, stored]) == [decode_event(stored)] * 2


@pytest.mark.parametrize("specimens", [EVERY_FIELD, REQUIRED_FIELDS])
def test_no_event_type_is_without_a_golden_file(specimens: tuple[Event, ...]) -> None:
    assert [type(event) for event in specimens] == list(EVENT_TYPES)
    for kind in EVENT_TYPES:
        for version in range(1, version_of(kind) + 1):
            assert (GOLDEN / f"{kind.__name__}.{version}.json").exists()


@pytest.mark.parametrize("event", EVERY_FIELD, ids=lambda event: type(event).__name__)
def test_no_field_is_without_a_place_in_the_golden_file(event: Event) -> None:
    """A field with a default is left out when it has that value. So some golden file must have it with another
    value."""
    stored = msgspec.json.decode(encode_event(event))
    wanted = {field.encode_name for field in msgspec.structs.fields(type(event))} - {"schema"}
    assert wanted <= stored.keys()


def test_the_name_that_is_stored_is_the_name_of_the_class() -> None:
    assert [name_of(kind) for kind in EVENT_TYPES] == [kind.__name__ for kind in EVENT_TYPES]


@pytest.mark.parametrize(("ending", "event"), SPECIMENS)
def test_what_is_stored_is_as_its_json_schema_says(ending: str, event: Event) -> None:
    schema = event_schemas()[type(event).__name__]
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    document = msgspec.json.decode(golden(event, ending))
    validator.validate(document)
    for name in schema["required"]:
        assert not validator.is_valid({key: value for key, value in document.items() if key != name})
    assert not validator.is_valid(document | {"type": "Another"})
    assert not validator.is_valid(document | {"schema": 99})


def test_an_instant_is_a_date_time_in_the_schemas() -> None:
    properties = event_schemas()["GrantCreated"]["properties"]
    assert {properties[name].get("format") for name in ("at", "start", "end")} == {"date-time"}
