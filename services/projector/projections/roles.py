"""role, account_member and role_head: who has which role on which pool, and who belongs to which account."""

from __future__ import annotations

from typing import NamedTuple

from shared.events import AccountMemberAdded, AccountMemberRemoved, RoleGranted, RoleRevoked
from shared.identity.roles import is_in

RoleKey = tuple[str, str, str]  # pool, member, role
MemberKey = tuple[str, str, str]  # project, account, member


class RoleRow(NamedTuple):
    """`granted` is the position of the event, `actor` is who granted the role."""

    granted: int
    actor: str


class MemberRow(NamedTuple):
    """`added` is the position of the event, `actor` is who added the member."""

    added: int
    actor: str


class RoleChanges:
    """What a batch changes.

    ended    clusters whose name is given again: every role of an earlier batch on them, and inside them, is gone
    roles    what is granted in this batch; None: it is revoked
    members  who is added to an account in this batch; None: removed from it
    heads    the position of the last event that changed a role or a member, by project
    """

    def __init__(self) -> None:
        self.ended: dict[str, None] = {}
        self.roles: dict[RoleKey, RoleRow | None] = {}
        self.members: dict[MemberKey, MemberRow | None] = {}
        self.heads: dict[str, int] = {}

    def set_role(self, event: RoleGranted | RoleRevoked, position: int) -> None:
        row = RoleRow(position, event.actor) if isinstance(event, RoleGranted) else None
        self.roles[event.pool, event.member, event.role] = row
        self.heads[event.project] = position

    def set_member(self, event: AccountMemberAdded | AccountMemberRemoved, position: int) -> None:
        row = MemberRow(position, event.actor) if isinstance(event, AccountMemberAdded) else None
        self.members[event.project, event.account, event.member] = row
        self.heads[event.project] = position

    def end_cluster(self, project: str, cluster: str, position: int) -> None:
        """Ends all roles on a cluster whose name is given again, and inside it."""
        for key in [key for key in self.roles if is_in(key[0], cluster)]:
            del self.roles[key]
        self.ended[cluster] = None
        self.heads[project] = position
