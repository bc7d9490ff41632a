"""An event of the history as a sentence for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from services.cli.people.amounts import in_words, of_pool
from services.cli.people.times import local, shown

WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
# What an event is about, in the order in which its fields are looked at.
SUBJECTS = ("booking", "cluster", "grant", "series", "template", "account", "pool", "project")


def sentence(event: Mapping[str, Any], zone: str) -> str:
    """What happened, without when and who: `booking created: 32 cores of gaia for ada, Tue 2030-06-04 00:00 to …`."""
    parts = [named(event), *period(event, zone)]
    tentative = ", tentative" if event.get("tentative") else ""
    return ", ".join(parts) + tentative


def named(event: Mapping[str, Any]) -> str:
    """The type in words, and what it is about."""
    words = WORDS.sub(" ", event["type"]).lower()
    if "capacity" in event or "share" in event:
        amount = in_words(event.get("capacity") or {}, event.get("share") or 0)
        return f"{words}: {of_pool(amount, place(event))}{for_whom(event)}"
    if role := event.get("role"):
        return f"{words}: {role} for {event.get('member')} on {place(event)}"
    return f"{words}: {subject(event)}{for_whom(event)}"


def place(event: Mapping[str, Any]) -> str:
    if "booking" in event:
        return str(event.get("pool") or event["project"])
    return str(event.get("cluster") or event.get("template") or event.get("pool") or event["project"])


def subject(event: Mapping[str, Any]) -> str:
    if "rrule" in event:
        return f"{event['rrule']} of {event['pool']}"
    if "booking" in event and event.get("pool"):
        return str(event["pool"])
    return next((str(event[name]) for name in SUBJECTS if event.get(name)), "")


def for_whom(event: Mapping[str, Any]) -> str:
    return f" for {event['account']}" if event.get("account") else ""


def period(event: Mapping[str, Any], zone: str) -> list[str]:
    """The hours that it is about, if it has some."""
    start, end = event.get("start"), event.get("end")
    if not isinstance(start, str) or not isinstance(end, str):
        return []
    return [f"{shown(local(start, zone))} to {shown(local(end, zone))}"]
