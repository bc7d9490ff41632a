"""Principals: who acts. A principal is a person, a program, or the ledger's own clock."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal

import msgspec

from shared.identity.roles import Limit

# How a principal proved who it is. It stands in the field `auth` of events.
Auth = Literal["oidc", "keystone", "token"]

TOKEN: Final = "token"
GROUP, LEDGER = "group", "hourbook"
# The auth file must not give an issuer such a name. /sign-in/ways is no issuer's address.
RESERVED = frozenset({TOKEN, GROUP, LEDGER, "ways"})


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts.

    `id` is `<issuer>:<subject>` of a person, `token:<id>` of a program, or `hourbook`, the ledger's own clock. It is
    the actor of events. `auth` says how it was proven; None: nobody proved it.

    `members` are the names by which role bindings and accounts may name the principal: its id, and
    `group:<issuer>:<group>` for each of its groups. A token has those of its maker, too.

    `maker` is the id of the person who made the token; None for a token that the operator made, and for persons.

    `limits` bound what a token may do; None: the principal has no such bound. `trusted`: the principal needs no role.
    That is so where nobody signs in, for the ledger's own clock, and for a token that the operator made; `limits` bound
    it all the same.
    """

    id: str
    auth: Auth | None = None
    members: frozenset[str] = frozenset()
    maker: str | None = None
    limits: tuple[Limit, ...] | None = None
    trusted: bool = False

    @property
    def unbounded(self) -> bool:
        """Whether neither roles nor limits bound what the principal may do."""
        return self.trusted and self.limits is None

    @property
    def person(self) -> str | None:
        """The id of the person who acts, or for whom a token acts; None where nobody is known."""
        return self.id if self.auth in ("oidc", "keystone") else self.maker

    @property
    def is_person(self) -> bool:
        """Whether a person acts with all that he or she may do: no token, no feed, and no application credential of
        Keystone, for which roles of the person's own do not count."""
        return self.person == self.id and self.id in self.members


@lru_cache(maxsize=1024)
def trusted(actor: str) -> Principal:
    """A principal that may do everything, and proved nothing: whoever acts where nobody signs in."""
    return Principal(id=actor, members=frozenset({actor}), trusted=True)


def person(issuer: str, subject: str, groups: frozenset[str] | tuple[str, ...], auth: Auth) -> Principal:
    """A person whom an issuer of the auth file knows. `groups` are the issuer's own names of groups."""
    own = f"{issuer}:{subject}"
    return Principal(id=own, auth=auth, members=frozenset({own, *(group_member(issuer, group) for group in groups)}))


def program(own: str, maker: str | None, groups: Iterable[str], limits: tuple[Limit, ...]) -> Principal:
    """The program that has the token `own` (`token:<id>`). It has the names of its maker and of the maker's `groups`
    (as in role bindings). An operator's token, which has no maker, is trusted."""
    members = {own} if maker is None else {own, maker, *groups}
    return Principal(id=own, auth=TOKEN, members=frozenset(members), maker=maker, limits=limits, trusted=maker is None)


def group_member(issuer: str, group: str) -> str:
    """The name of a group in role bindings."""
    return f"{GROUP}:{issuer}:{group}"


CLOCK = trusted(LEDGER)  # settles conflicts, and makes everything else that happens because time goes on
