"""Parsers of single query parameters. Each takes the text of a query string and raises InvalidField or UnknownId."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from shared.capacity import DIMENSIONS
from shared.errors import InvalidField, UnknownId
from shared.events import EVENT_TYPES
from shared.hours import INSTANT, Period, parse_grain, parse_range, unencoded_plus_hint
from shared.names import asked_name, is_pool_id

RANGE_EXAMPLE = "two dates, as 2020-06-08,2020-06-14"
BOM = b"\xef\xbb\xbf"  # some spreadsheets recognise UTF-8 by it
TEMPLATE = re.compile(r"([^@\0]{1,200})(?:@([1-9]\d{0,8}))?")


class TemplateName(msgspec.Struct, frozen=True):
    """The name of a template with or without a version: `small` means the newest version, `small@2` version 2."""

    name: str
    version: int | None = None


def unknown_pool(field: str, pool: str) -> UnknownId:
    return UnknownId(field, "project" if field == "project" else "cluster", pool)


def parse_pool(project: str | None, cluster: str | None) -> tuple[str, str]:
    """The field that names the pool, and the pool's id. Raises InvalidField or UnknownId."""
    if project is not None and cluster is not None:
        raise InvalidField("clusterid", "give either project or clusterid, not both")
    if project is not None:
        return "project", checked_project(project)
    if cluster is not None:
        return "clusterid", checked_cluster(cluster, "clusterid")
    raise InvalidField("project", "give a project or a clusterid")


def checked_project(project: str, field: str = "project") -> str:
    """The id itself. Raises UnknownId for one that no project can have."""
    if not is_pool_id(project) or "." in project:
        raise UnknownId(field, "project", project)
    return project


def checked_cluster(cluster: str, field: str) -> str:
    """The id itself. Raises UnknownId for one that no cluster can have."""
    if not is_pool_id(cluster) or "." not in cluster:
        raise UnknownId(field, "cluster", cluster)
    return cluster


def required(text: str | None, field: str, what: str) -> str:
    if text is None:
        raise InvalidField(field, f"give {what}")
    return text


def required_range(text: str | None, zone: ZoneInfo) -> Period:
    """The hours of the parameter `range`, which must be given."""
    return parse_range(required(text, "range", RANGE_EXAMPLE), zone)


def parse_names(text: str | None, field: str, known: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    """The names in a list with commas, each once, in the order of `known`. Raises InvalidField for one not known."""
    if text is None:
        return tuple(default)
    given = {name.strip() for name in text.split(",")}
    if unknown := sorted(given.difference(known)):
        raise InvalidField(field, f"{unknown[0]!r} is none of {', '.join(known)}")
    return tuple(name for name in known if name in given)


def parse_dimensions(text: str | None) -> tuple[str, ...]:
    return parse_names(text, "dimensions", DIMENSIONS, DIMENSIONS)


def parse_dimension(text: str | None) -> str:
    """One dimension; `cores` for None. Raises InvalidField."""
    given = parse_names(text, "dimension", DIMENSIONS, ("cores",))
    if len(given) > 1:
        raise InvalidField("dimension", f"give one of {', '.join(DIMENSIONS)}")
    return given[0]


def parse_grain_or_day(text: str | None) -> str | int:
    """A grain; `day` for None. `1h` becomes `hour`, because both are the same question."""
    grain = parse_grain(text) if text is not None else "day"
    return "hour" if grain == 1 else grain


def parse_shape(text: str | None) -> bool:
    """Whether the client wants columns: True for `columns`, False for `blocks` and None."""
    if text not in (None, "blocks", "columns"):
        raise InvalidField("shape", f"{text!r} is neither blocks nor columns")
    return text == "columns"


def parse_bom(text: str | None, csv: bool) -> bytes:
    """The first bytes of the answer: a byte order mark, or none. Raises InvalidField for a mark without a table."""
    if text not in (None, "true", "false"):
        raise InvalidField("bom", f"{text!r} is neither true nor false")
    if text == "true" and not csv:
        raise InvalidField("bom", "only a table has it; ask for one with the header Accept: text/csv")
    return BOM if text == "true" else b""


EVENT_TYPE_NAMES = tuple(kind.__name__ for kind in EVENT_TYPES)
POSITION = re.compile(r"\d{1,18}", re.ASCII)


def parse_event_types(text: str | None) -> frozenset[str] | None:
    """The event types in a list with commas; None is all. Raises InvalidField for a type that there is not."""
    return None if text is None else frozenset(parse_names(text, "type", EVENT_TYPE_NAMES, ()))


def parse_position(text: str, field: str) -> int:
    """A position. Raises InvalidField for a text that is none."""
    if not POSITION.fullmatch(text):
        raise InvalidField(field, f"{text!r} is not a position")
    return int(text)


def parse_moment(text: str, field: str) -> datetime:
    """An instant of any fraction of a second, with its offset. Raises InvalidField."""
    match = INSTANT.fullmatch(text)
    if match is None or match.group(3) is None:
        said = f"{text!r} is not an instant with an offset, as 2020-06-08T09:00:00Z"
        raise InvalidField(field, said + unencoded_plus_hint(text))
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise InvalidField(field, f"{text!r} is not in the calendar: {error}") from None
    if not 1 < moment.year < 9999:  # else it may have no UTC time
        raise InvalidField(field, f"{text!r} lies outside the years 2 to 9998")
    return moment


def parse_template(text: str, field: str = "template") -> TemplateName:
    """`small`, or `small@2` for a version."""
    match = TEMPLATE.fullmatch(text)
    if match is None:
        raise InvalidField(field, f"{text!r} is not the name of a template, such as small, or small@2 for a version")
    return TemplateName(match[1], None if match[2] is None else int(match[2]))


def optional_name(text: str | None, field: str) -> str | None:
    """A name or an id of any kind, as it is given. Raises InvalidField for a text that no name can be."""
    return None if text is None else asked_name(text, field)


def optional_project(text: str | None) -> str | None:
    """The id of a project. Raises UnknownId for one that no project can have."""
    return None if text is None else checked_project(text)


def optional_moment(text: str | None, field: str) -> datetime | None:
    """As `parse_moment`, None for None."""
    return None if text is None else parse_moment(text, field)


def checked_after(after: str | None) -> str:
    """The id after which a page begins, empty for the first page. Raises InvalidField for a text that is no id."""
    if after is not None and (not after.isascii() or not after.isprintable()):
        raise InvalidField("after", "give what an earlier answer named as next, unchanged")
    return after or ""
