"""Which account an OpenStack project books as: the one that has the project's group among its members."""

from __future__ import annotations

from services.command.domain.state import ProjectState


def accounts_of(state: ProjectState, openstack_project: str, issuers: tuple[str, ...]) -> list[str]:
    """The accounts with the member `group:<Keystone>:<OpenStack project>`, with or without a role after it; sorted. If
    there is none, the account is called like the OpenStack project. `issuers` are the names of the Keystones that
    count; empty: any."""
    found = [
        account
        for account, members in state.members.items()
        if any(_is_group_of(member, openstack_project, issuers) for member in members)
    ]
    return sorted(found) or [state.listed(openstack_project) or openstack_project]


def _is_group_of(member: str, openstack_project: str, issuers: tuple[str, ...]) -> bool:
    kind, _, group = member.partition(":")
    issuer, _, name = group.partition(":")
    return kind == "group" and name.partition(":")[0] == openstack_project and (not issuers or issuer in issuers)
