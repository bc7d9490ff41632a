"""The right that a route needs, and on what. `read` checks it before the handler runs, so before any cache.

What may not be seen gets the error of what does not exist. Whoever sees it but lacks the right gets 403.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from services.query.answers.cache import Scope
from services.query.answers.freshness import Fresh
from services.query.database import UNREACHABLE, NoGeneration, again
from services.query.live.tail import Watch
from services.query.questions.feed import feed_name
from services.query.questions.parameters import checked_cluster, checked_project, parse_pool, required, unknown_pool
from services.query.questions.sight import EVERYWHERE, NOWHERE, Sight, whole_or
from services.query.questions.trees import parse_tree
from services.query.routes.parts import AnyRequest, given_in, parts_of
from services.query.routes.rights import RightsNow
from services.query.standby import StandbyBehind
from shared.errors import HourbookError, UnknownId
from shared.http.sign_in import principal_in
from shared.identity.errors import IdentityUnavailable, InvalidCredential, forbidden
from shared.identity.principals import Principal
from shared.identity.roles import ROLE_FOR, Right

R = TypeVar("R")

VISIT = "hourbook_visit"
SLOW_S = 1.0  # an answer that took longer to make is sent only if the right is still there


class Visit:
    """The checks of one request. `right` is the one that its route needs."""

    def __init__(self, rights: RightsNow, principal: Principal, right: Right) -> None:
        self.rights, self.principal, self.right = rights, principal, right
        self.sight: Sight | None = None
        self.fresh: tuple[Scope, Fresh] | None = None  # what the check has learned of the scope that it asked for
        self.follows = False  # the answer is a live stream, which checks by itself
        self._repeat: Callable[[], Awaitable[None]] | None = None

    @property
    def made(self) -> bool:
        """Whether a check was made."""
        return self._repeat is not None

    async def require(self, pool: str, unknown: HourbookError) -> None:
        """Raises Forbidden without the right on the pool, `unknown` for a pool that the principal does not see."""
        if not self.rights.has_on_ledger(self.right, self.principal):
            scope = Scope("pool", pool)
            fresh, rights = await self.rights.fresh(self.principal, scope)
            rights.require(self.right, pool, unknown)
            self.fresh = scope, fresh
        self._repeat = lambda: self.require(pool, unknown)

    async def require_found(self, pool: str | None, unknown: HourbookError) -> None:
        """Raises `unknown` without the right on the pool (None: on the whole ledger) of a thing that was found by its
        id. Whoever has no such right does not learn whether there is such a thing."""
        if not await self.has(self.right, pool):
            raise unknown
        self._repeat = lambda: self.require_found(pool, unknown)

    async def has(self, right: Right, pool: str | None) -> bool:
        """Whether the principal has a right on a pool now; on the whole ledger for None."""
        on_ledger = self.rights.has_on_ledger(right, self.principal)
        return on_ledger or (await self.rights.of(self.principal)).has(right, pool)

    async def look(self, pool: str | None, field: str = "project") -> Sight:
        """Where the principal has the right, in one pool and what is inside it, or in all. Raises UnknownId for a pool
        of which it sees nothing, and Forbidden without the right on any pool. `field` names the pool."""
        sight = await self.rights.sight(self.right, self.principal)
        if pool is not None:
            sight = sight.inside(pool)
            if not sight and not (await self.rights.sight(Right.SEE, self.principal)).inside(pool):
                raise unknown_pool(field, pool)
        if not sight and (pool is not None or self.right != Right.SEE):
            raise forbidden(pool, ROLE_FOR[self.right])
        return sight

    async def see(self, pool: str | None, field: str = "project", *, whole: bool = False) -> None:
        """As `look`; `sight` has the result. With `whole`, a right on a cluster of a project does not count."""
        sight = await self.look(pool, field)
        if whole and not (sight := sight.whole_projects()):
            raise forbidden(pool, ROLE_FOR[self.right])
        if self.sight is not None and not sight.covers(self.sight):
            raise forbidden(pool, ROLE_FOR[self.right])
        self.sight = sight

        async def again() -> None:
            await self.see(pool, field, whole=whole)

        self._repeat = again

    async def repeat(self) -> None:
        """Makes the last check again."""
        if self._repeat is not None:
            await self._repeat()


class Needs(NamedTuple):
    """What a route needs: `right`, None for any principal. `on` says where, for people. `check` checks it; None: the
    handler does, by `require_found`."""

    right: Right | None
    on: str
    check: Callable[[AnyRequest, Visit], Awaitable[None]] | None = None


Asked = Callable[[AnyRequest], tuple[str, UnknownId]]  # the pool that a request names, and the error if there is none


def _on(right: Right, on: str, asked: Asked) -> Needs:
    async def check(request: AnyRequest, visit: Visit) -> None:
        await visit.require(*asked(request))

    return Needs(right, on, check)


def on_pool(right: Right) -> Needs:
    """The right on the pool that `project` or `clusterid` names."""

    def asked(request: AnyRequest) -> tuple[str, UnknownId]:
        given = given_in(request)
        field, pool = parse_pool(given.get("project"), given.get("clusterid"))
        return pool, unknown_pool(field, pool)

    return _on(right, "the pool", asked)


def in_tree(right: Right) -> Needs:
    """The right on some pool among that which `project` or `clusterid` names and those inside it. The handler shows
    what is in `seen_in`, and nothing else."""

    async def check(request: AnyRequest, visit: Visit) -> None:
        given = given_in(request)
        field, pool = parse_pool(given.get("project"), given.get("clusterid"))
        await visit.see(pool, field)

    return Needs(right, "each pool of which it tells", check)


def on_pool_or_tree(right: Right) -> Needs:
    """As `on_pool`; as `in_tree` if the request has `tree=true`."""
    one, tree = on_pool(right).check, in_tree(right).check
    assert one is not None
    assert tree is not None

    async def check(request: AnyRequest, visit: Visit) -> None:
        await (tree if parse_tree(given_in(request).get("tree")) else one)(request, visit)

    return Needs(right, "the pool; with `tree`, each pool of which it tells", check)


def on_cluster(right: Right) -> Needs:
    """The right on the cluster in the path."""

    def asked(request: AnyRequest) -> tuple[str, UnknownId]:
        cluster = checked_cluster(request.path_params["cluster"], "id")
        return cluster, unknown_pool("id", cluster)

    return _on(right, "the cluster", asked)


def on_project(right: Right) -> Needs:
    """The right on the project that must be given."""

    def asked(request: AnyRequest) -> tuple[str, UnknownId]:
        project = given_project(given_in(request).get("project"))
        return project, unknown_pool("project", project)

    return _on(right, "the project", asked)


def on_feed(right: Right, kind: str) -> Needs:
    """The right on the project or the cluster of a feed."""

    def asked(request: AnyRequest) -> tuple[str, UnknownId]:
        name = feed_name(kind, request.path_params["feed"])
        return name, UnknownId("id", kind, name)

    return _on(right, f"the {kind}", asked)


def in_project(right: Right) -> Needs:
    """The right on any pool of the project that must be given."""

    async def check(request: AnyRequest, visit: Visit) -> None:
        await visit.see(given_project(given_in(request).get("project")))

    return Needs(right, "any pool of the project", check)


def somewhere(right: Right) -> Needs:
    """The right anywhere; with `project`, anywhere in it. The handler shows what is in `seen`, and nothing else."""

    async def check(request: AnyRequest, visit: Visit) -> None:
        project = given_in(request).get("project")
        await visit.see(None if project is None else checked_project(project))

    return Needs(right, "each pool of which it tells", check)


def on_some_project(right: Right) -> Needs:
    """As `somewhere`, for what belongs to whole projects."""

    async def check(request: AnyRequest, visit: Visit) -> None:
        project = given_in(request).get("project")
        await visit.see(None if project is None else checked_project(project), whole=True)

    return Needs(right, "each project of which it tells", check)


def on_found(right: Right, on: str) -> Needs:
    """The right where the thing belongs that the handler finds. The handler calls `require_found`."""
    return Needs(right, on)


ANYBODY = Needs(None, "anything")


def given_project(project: str | None) -> str:
    """The id of a project that must be given. Raises InvalidField, UnknownId."""
    return checked_project(required(project, "project", "a project"))


async def if_allowed(
    rights: RightsNow, request: AnyRequest, needs: Needs, right: Right, answer: Callable[[], Awaitable[R]]
) -> R:
    """The answer, if the principal has the right. A right that ends while the answer is made counts as well."""
    visit = Visit(rights, principal_in(request), right)
    request.scope[VISIT] = visit  # type: ignore[literal-required]
    given = given_in(request)
    if "min_position" in given and "as_of" not in given:  # then the roles are as new as the answer
        await parts_of(request).positions.reached(int(given["min_position"]))
    began = time.monotonic()
    if needs.check is not None:
        await needs.check(request, visit)
    made = await answer()
    if not visit.made:
        raise RuntimeError(f"{request.route_handler} made no check of the right that it needs")
    if not visit.follows and time.monotonic() - began > SLOW_S:
        await visit.repeat()
    return made


def visit_of(request: AnyRequest) -> Visit | None:
    """The checks of the request; None where nobody signs in."""
    if parts_of(request).rights is None:
        return None
    visit: Visit = request.scope[VISIT]  # type: ignore[literal-required]
    return visit


def seen(request: AnyRequest) -> Sight:
    """What the answer may show: where the principal has the right that the route needs."""
    visit = visit_of(request)
    if visit is None:
        return EVERYWHERE
    assert visit.sight is not None, "the route declares no list"
    return visit.sight


def seen_in(request: AnyRequest, pool: str) -> Sight:
    """As `seen`, for an answer about a pool and what is inside it: EVERYWHERE if all of that may be shown."""
    return whole_or(seen(request), pool)


async def require_found(request: AnyRequest, pool: str | None, unknown: HourbookError) -> None:
    """Checks the right that the route needs, on the pool (None: the whole ledger) of the thing that the handler has
    found. Raises `unknown`."""
    visit = visit_of(request)
    if visit is not None:
        await visit.require_found(pool, unknown)


async def has(request: AnyRequest, right: Right, pool: str) -> bool:
    """Whether the principal has one more right on a pool, beside that which the route needs."""
    visit = visit_of(request)
    return visit is None or await visit.has(right, pool)


def fresh_of(request: AnyRequest, scope: Scope) -> Fresh | None:
    """The version of the scope, if the check of the request has read it; so an answer needs no second statement."""
    visit = visit_of(request)
    if visit is None or visit.fresh is None or visit.fresh[0] != scope:
        return None
    return visit.fresh[1]


def watch_of(request: AnyRequest, project: str | None) -> Watch | None:
    """What a live stream asks again and again: what its subscriber may see of a project, or of all. None where nobody
    signs in."""
    visit = visit_of(request)
    if visit is None:
        return None
    visit.follows = True
    rights, right, credential = visit.rights, visit.right, visit.rights.authenticator.credential(request.scope)

    async def look() -> Sight | None:
        try:
            principal = (await rights.authenticator.verified(credential)).principal
            sight = await again(lambda: rights.sight(right, principal))
        except InvalidCredential:
            return NOWHERE
        except (IdentityUnavailable, NoGeneration, StandbyBehind, *UNREACHABLE):
            return None
        return sight if project is None else sight.inside(project)

    return look
