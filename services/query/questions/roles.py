"""Which roles, and which members of accounts, are asked for."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from services.query.questions.parameters import checked_project
from services.query.questions.sight import EVERYWHERE, Sight
from shared.errors import InvalidField, UnknownId
from shared.names import is_pool_id


class RolesAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The roles on a `pool` and around it, or those in a `project`; without both, all. `member` narrows. `after` is the
    pool, the member and the role of the last row before."""

    pool: str | None
    project: str | None
    member: str | None
    after: tuple[str, ...]
    limit: int

    def unknown(self) -> UnknownId:
        """The error when there is no such pool or project."""
        if self.pool is None:
            return UnknownId("project", "project", self.project or "")
        return unknown_pool(self.pool)


class MembersAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The members of all accounts of a project, or of one in all its spellings. `after` is the account and the member
    of the last row before."""

    project: str
    account: tuple[str, ...] | None
    after: tuple[str, ...]
    limit: int

    def unknown(self) -> UnknownId:
        return UnknownId("project", "project", self.project)


class Shown(NamedTuple):
    """Which roles may be shown: those on the pools in `within`, and those of `members`. Who granted a role is shown for
    the pools in `named`."""

    within: Sight = EVERYWHERE
    members: Sequence[str] = ()
    named: Sight = EVERYWHERE


def asked_roles(project: str | None, pool: str | None, member: str | None, after: str | None, limit: int) -> RolesAsked:
    """Raises InvalidField, UnknownId."""
    if project is not None and pool is not None:
        raise InvalidField("pool", "give either project or pool, not both")
    if pool is not None and not is_pool_id(pool):
        raise unknown_pool(pool)
    wanted = None if project is None else checked_project(project)
    return RolesAsked(pool=pool, project=wanted, member=member, after=parse_row(after, 3), limit=limit)


def unknown_pool(pool: str) -> UnknownId:
    return UnknownId("pool", "cluster" if "." in pool else "project", pool)


VERSION_DIGITS = 9  # of a version of a template: it fits into 32 bits


def row_text(*names: str) -> str:
    """The `next` of a page that ends with the row of these names."""
    return base64.urlsafe_b64encode(msgspec.json.encode(names)).decode().rstrip("=")


def parse_template_row(text: str | None) -> tuple[str, int] | None:
    """The name and the version of the template after which a page begins; None for the first page. Raises
    InvalidField."""
    if text is None:
        return None
    name, version = parse_row(text, 2)
    if not version.isascii() or not version.isdecimal() or len(version) > VERSION_DIGITS:
        raise InvalidField("after", "give what an earlier answer named as next, unchanged")
    return name, int(version)


def parse_row(text: str | None, count: int) -> tuple[str, ...]:
    """The `count` names of the row after which a page begins; empty names for the first page. Raises InvalidField."""
    if text is None:
        return ("",) * count
    try:
        names = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=tuple[str, ...])
    except ValueError:  # of base64, of UTF-8, or of msgspec
        names = ()
    if len(names) != count or any("\0" in name for name in names):
        raise InvalidField("after", "give what an earlier answer named as next, unchanged")
    return names
