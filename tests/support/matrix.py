"""Who may do which operation: the parts that the tests of every service's operations share.

A test has a table of `Line`s, by operation. An operation of the OpenAPI document without a line fails the test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.support.signed_in import ADMIN, signed_in

# What each role may do, in words of its own, so that a mistake in the service's table is none here.
MAY: Mapping[str, frozenset[str]] = {
    "viewer": frozenset({"see"}),
    "reader": frozenset({"see", "names"}),
    "member": frozenset({"see", "names", "book"}),
    "manager": frozenset({"see", "names", "book", "manage"}),
    "admin": frozenset({"see", "names", "book", "manage", "administer", "audit"}),
    "auditor": frozenset({"see", "names", "audit"}),
}
# Where a role may be given; None is the whole ledger. `beta` is another project. `gaia.spark2` only begins alike.
PLACES = (None, "gaia", "gaia.spark", "gaia.spark.deep", "gaia.spark2", "beta")
PUBLIC, SIGNED_IN = "public", "signed in"  # a Line needs nothing, or a principal whoever it is
OK = 200

Operation = tuple[str, str]  # the method, and the path with the names of its parameters in braces


class Line(NamedTuple):
    """A request for an operation. `path` may name ids in braces. It needs `needs` on `pool`; None: on the whole ledger.
    Whoever may not do `sees` there gets 404; None: there is nothing to hide. `account`: one must belong to the account,
    or be a manager. `dry`: the operation takes `dry_run`."""

    path: str
    body: dict[str, Any] | None
    needs: str
    pool: str | None = None
    sees: str | None = "see"
    account: bool = False
    dry: bool = True


Table = Mapping[Operation, Sequence[Line]]


class Who(NamedTuple):
    """Somebody with a role somewhere; without a role, nobody has given them one. `belongs`: to the account `team`."""

    role: str | None = None
    place: str | None = None
    belongs: bool = False
    stranger: bool = False

    @property
    def id(self) -> str:
        where = "nowhere" if self.role is None else self.place or "ledger"
        return f"egi:{self.role or 'nobody'}-{where}{'-of-team' if self.belongs else ''}"

    def may(self, pool: str | None) -> frozenset[str]:
        """What the role lets them do on the pool."""
        if self.role is None or not holds(self.place, pool):
            return frozenset()
        return MAY[self.role]


def holds(place: str | None, pool: str | None) -> bool:
    """Whether a role at `place` holds on `pool`: the pool lies there or inside."""
    return place is None or (pool is not None and f"{pool}.".startswith(f"{place}."))


def everybody() -> Iterator[Who]:
    yield Who(stranger=True)
    yield Who()
    for place in PLACES:
        for role in MAY:
            yield Who(role, place)
        yield Who("member", place, belongs=True)


def expected(line: Line, who: Who) -> int:
    """The status that the request gets; OK for any success."""
    if line.needs == PUBLIC:
        return OK
    if who.stranger:
        return 401
    if line.needs == SIGNED_IN:
        return OK
    may = who.may(line.pool)
    if line.sees is not None and line.sees not in may:
        return 404
    if line.needs not in may or (line.account and "manage" not in may and not who.belongs):
        return 403
    return OK


def ledger_roles() -> dict[str, list[str]]:
    """The members of each role on the whole ledger, for the auth file: ADMIN is one of the admins."""
    held: dict[str, list[str]] = {"admin": [ADMIN]}
    for who in everybody():
        if who.role is not None and who.place is None:
            held.setdefault(who.role, []).append(who.id)
    return held


async def headers_of(database_url: str, who: Who) -> dict[str, str]:
    return {} if who.stranger else await signed_in(database_url, who.id)


def operations_of(document: Any) -> set[Operation]:
    """The operations of an OpenAPI document."""
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item}
