"""The rights of the principal who sends a request, as they are now."""

from __future__ import annotations

from services.query.answers.access import Access
from services.query.answers.cache import Scope
from services.query.answers.freshness import Fresh
from services.query.questions.rights import Rights
from services.query.questions.sight import EVERYWHERE, Sight
from shared.identity.authenticator import Authenticator
from shared.identity.principals import Principal
from shared.identity.roles import NO_BINDINGS, Places, Right, rights_on

KEPT_MAX = 4096  # sights


class RightsNow:
    """Says what principals may do. One of it is in the service where principals sign in."""

    def __init__(self, authenticator: Authenticator, access: Access) -> None:
        self.authenticator, self._access = authenticator, access
        self._bindings, self._places = NO_BINDINGS, Places(NO_BINDINGS)
        self._sights: dict[tuple[Principal, Right], Sight] = {}

    async def of(self, principal: Principal) -> Rights:
        """The rights of a principal now. Raises NoGeneration, and asyncpg's errors."""
        return (await self.fresh(principal, None))[1]

    async def fresh(self, principal: Principal, scope: Scope | None) -> tuple[Fresh, Rights]:
        """The version of a scope, and the rights of a principal at its position or a later one. Raises NoGeneration,
        and asyncpg's errors."""
        fresh, bindings = await self._access.fresh(scope)
        if bindings is not self._bindings:
            self._bindings, self._places = bindings, Places(bindings)
            self._sights.clear()
        return fresh, Rights(self.authenticator.policy, bindings, principal, self._places)

    def has_on_ledger(self, right: Right, principal: Principal) -> bool:
        """Whether the principal has the right on the whole ledger. No binding of a project can give that."""
        return bool(rights_on(self.authenticator.policy, NO_BINDINGS, principal, None) & right)

    async def sight(self, right: Right, principal: Principal) -> Sight:
        """Where a principal has the right now. It is remembered while no role changes."""
        if self.has_on_ledger(right, principal):
            return EVERYWHERE
        rights, key = await self.of(principal), (principal, right)
        if (found := self._sights.get(key)) is None:  # `of` has forgotten those of older bindings
            found = rights.sight(right)
            self._keep(key, found)
        return found

    def _keep(self, key: tuple[Principal, Right], sight: Sight) -> None:
        if len(self._sights) >= KEPT_MAX:
            del self._sights[next(iter(self._sights))]
        self._sights[key] = sight
