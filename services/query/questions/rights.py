"""What a principal may do: the rule of `shared.identity.roles`, applied to one principal at one moment."""

from __future__ import annotations

from functools import cached_property

import msgspec

from services.query.questions.sight import EVERYWHERE, Sight, sight_of
from shared.errors import HourbookError
from shared.identity.errors import forbidden
from shared.identity.principals import Principal
from shared.identity.roles import ROLE_FOR, Bindings, Places, Policy, Right, rights_on


class Rights(msgspec.Struct, frozen=True, dict=True):
    """What a principal may do by the bindings of the auth file, `policy`, and those of the projects, of which `places`
    are made. A pool of None is the whole ledger."""

    policy: Policy
    bindings: Bindings
    principal: Principal
    places: Places

    def on(self, pool: str | None) -> int:
        """The rights on a pool."""
        return rights_on(self.policy, self.bindings, self.principal, pool)

    def has(self, rights: int, pool: str | None) -> bool:
        """Whether the principal has one of these rights on a pool."""
        return bool(self.on(pool) & rights)

    def require(self, right: Right, pool: str, unknown: HourbookError) -> None:
        """Raises Forbidden without the right on the pool, `unknown` for a pool that the principal does not see."""
        if not self.has(right, pool):
            raise forbidden(pool, ROLE_FOR[right]) if self.has(Right.SEE, pool) else unknown

    @cached_property
    def named(self) -> frozenset[str]:
        """The pools on which something is bound to the principal, or to which its token is limited."""
        limited = {limit.pool for limit in self.principal.limits or () if limit.pool is not None}
        return frozenset(limited).union(self.places.of(self.principal.members))

    def sight(self, rights: int) -> Sight:
        """Where the principal has one of these rights."""
        if self.has(rights, None):
            return EVERYWHERE
        return sight_of(pool for pool in self.named if self.has(rights, pool))
