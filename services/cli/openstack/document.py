"""Parses a file into items: quotas, flavors, leases, clusters. The shape of a document tells its kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from services.cli.openstack.desired import Note, Unmapped

# Spaces that JSON does not allow between its parts. OpenStack's own sample documents contain one.
SPACES = "\u00a0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
STRING_OR_SPACE = re.compile(rf'"(?:[^"\\]|\\.)*"|([{SPACES}])', re.DOTALL)

WRAPPED = {
    "quota_set": "quota",
    "limits": "limits",
    "flavor": "flavor",
    "lease": "lease",
    "reservation": "reservation",
    "cluster": "cluster",
    "bay": "cluster",
    "clustertemplate": "clustertemplate",
    "baymodel": "clustertemplate",
}
LISTED = {
    "flavors": "flavor",
    "leases": "lease",
    "clusters": "cluster",
    "bays": "cluster",
    "clustertemplates": "clustertemplate",
    "baymodels": "clustertemplate",
    "nodegroups": "nodegroup",
}
# Magnum answers a single thing without a wrapper. The first row whose members the document has tells its kind.
BARE = (
    ({"reservations", "start_date"}, "lease"),
    ({"uuid", "coe", "flavor_id"}, "clustertemplate"),
    ({"uuid", "role", "node_count"}, "nodegroup"),
    ({"uuid", "node_count"}, "cluster"),
    ({"uuid", "status"}, "cluster"),
    ({"node_count"}, "resize"),
    ({"vcpus", "ram", "name"}, "flavor"),
    ({"cores", "ram"}, "quota"),
)
# Members of a list that has more pages.
NEXT = ("next", "flavors_links", "leases_links")


class Item(NamedTuple):
    """One thing in a document. `origin` is the file or the service that it came from."""

    kind: str
    data: Any
    origin: str


class Parsed(NamedTuple):
    """The items of documents, and what could not be read in them."""

    items: list[Item]
    unmapped: list[Unmapped]
    notes: list[Note]


class NotJson(ValueError):
    """The text is not JSON. The message says where and why."""


def parse(text: str, origin: str) -> Parsed:
    """The items of a text with one or more JSON documents. Raises NotJson."""
    text, notes = without_odd_spaces(text, origin)
    result = items_in(decoded(text, origin), origin)
    if not (result.items or result.unmapped):
        result.unmapped.append(Unmapped(origin, "it contains nothing"))
    return result._replace(notes=[*notes, *result.notes])


def items_in(documents: Iterable[Any], origin: str) -> Parsed:
    """The items of decoded documents."""
    result = Parsed([], [], [])
    for document in documents:
        for part in document if isinstance(document, list) else [document]:
            add_item(part, origin, result)
    return result


def without_odd_spaces(text: str, origin: str) -> tuple[str, list[Note]]:
    """Replaces spaces that JSON does not allow, outside of strings, by plain ones. Notes each."""
    found: list[str] = []

    def plain(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        if match.start() > 0 or match[1] != "\ufeff":  # a byte order mark at the start is usual
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"line {line}: U+{ord(match[1]):04X}, which JSON does not allow, is read as a space")
        return " "

    return STRING_OR_SPACE.sub(plain, text), [Note(origin, how) for how in found]


def decoded(text: str, origin: str) -> Iterator[Any]:
    """Yields the JSON documents of a text, which follow each other. Raises NotJson."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            document, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise NotJson(f"{origin} is not JSON: {where}: {error.msg}") from None
        except (ValueError, RecursionError) as error:  # a number with thousands of digits, or brackets nested too deep
            raise NotJson(f"{origin} is not JSON that Hourbook can read: {error}") from None
        yield document


def add_item(document: Any, origin: str, result: Parsed) -> None:
    """Adds the items of one document to `result`, or the reason why there are none."""
    if not isinstance(document, dict):
        result.unmapped.append(Unmapped(origin, f"{json.dumps(document)[:60]} is not a document of OpenStack"))
        return
    if problem := error_of(document):
        result.unmapped.append(Unmapped(origin, f"it is an error answer of OpenStack: {problem}"))
        return
    for name, kind in WRAPPED.items():
        if isinstance(document.get(name), dict):
            result.items.append(Item(kind, document[name], origin))
            return
    for name, kind in LISTED.items():
        if isinstance(document.get(name), list):
            result.items.extend(Item(kind, data, origin) for data in document[name])
            if any(document.get(link) for link in NEXT):
                result.unmapped.append(Unmapped(origin, f"the list of {name} has more pages: fetch these too"))
            if not document[name]:
                result.notes.append(Note(origin, f"the list of {name} is empty"))
            return
    kind = next((kind for members, kind in BARE if members <= document.keys()), "")
    if kind:
        result.items.append(Item(kind, document, origin))
        return
    members = ", ".join(sorted(document)[:6]) or "nothing"
    result.unmapped.append(Unmapped(origin, f"this kind of document is not known; its members are {members}"))


def error_of(document: dict[str, Any]) -> str | None:
    """The message of an error answer; None when it is none. OpenStack has three forms of them:

    `{"itemNotFound": {"code": 404, "message": …}}`, `{"error_code": 403, "error_message": …}`, Magnum's `errors`.
    """
    for content in document.values():
        if isinstance(content, dict) and isinstance(content.get("message"), str) and "code" in content:
            return str(content["message"])
    if isinstance(document.get("error_message"), str):
        return str(document["error_message"])
    errors = document.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return str(errors[0].get("detail") or errors[0].get("title") or errors[0])
    return None
