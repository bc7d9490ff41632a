"""`hourbook people list` and `hourbook people forget`."""

from __future__ import annotations

import msgspec

from services.cli.access.operators import in_database
from services.cli.output import Output, show
from services.cli.up.directory import DataDir
from shared.identity.people import forget_person, read_people


def list_(*, output: Output = "table", data_dir: DataDir = None) -> None:
    people = in_database(data_dir, read_people)
    rows = msgspec.to_builtins(people)
    show(rows, ("id", "name", "email", "seen", "tokens", "sessions", "feeds"), output)


def forget(person: str, /, *, data_dir: DataDir = None) -> None:
    """
    Parameters
    ----------
    person
        The id of the person, as `hourbook people list` shows it.
    """
    ended = in_database(data_dir, lambda connection: forget_person(connection, person))
    counts = f"{ended.sessions} sessions, {ended.tokens} tokens and {ended.feeds} feed addresses"
    print(f"{person} is forgotten; {counts} ended")
