"""Accounts: who books in a project, and how much they may book."""

from __future__ import annotations

from litestar import Controller, post
from litestar.params import JSONBody

from services.command.domain import AddAccountMember, CloseAccount, CreateAccount, RemoveAccountMember, SetLimits
from services.command.routes.fields import AccountInPath
from services.command.routes.headers import AnyRequest
from services.command.routes.operations import command_post
from services.command.routes.requests import AccountMemberRequest, AccountRequest, InProjectRequest, LimitsRequest
from services.command.routes.responses import Outcome
from services.command.routes.submit import change
from shared.http.responses import EncodedResponse
from shared.identity.auth_file import checked_member
from shared.names import asked_name


class Accounts(Controller):
    @command_post("/accounts/create", summary="List an account in a project")
    async def create_account(self, request: AnyRequest, data: JSONBody[AccountRequest]) -> EncodedResponse[Outcome]:
        """Lists an account in a project, with its limits. A project that lists no account takes bookings by any name. A
        project that lists accounts takes bookings by these only.

        Refused if the project lists the account already, closed or not.
        """
        command = CreateAccount(account=data.account, name=data.name or data.account, limits=data.limits)
        return await change(request, data, data.project, command, data.account)

    @command_post("/accounts/{account:str}/limits", summary="Set the limits of an account")
    async def set_limits(
        self, request: AnyRequest, account: AccountInPath, data: JSONBody[LimitsRequest]
    ) -> EncodedResponse[Outcome]:
        """Replaces all limits of an account: a limit that is left out does not hold any more. Bookings that were made
        before stay, also those that are beyond the new limits.

        Refused if the project does not list the account. 200 if the limits are the same.
        """
        name = asked_name(account, "account")
        return await change(request, data, data.project, SetLimits(account=name, limits=data.limits), name)

    @command_post("/accounts/{account:str}/close", summary="Close an account")
    async def close_account(
        self, request: AnyRequest, account: AccountInPath, data: JSONBody[InProjectRequest]
    ) -> EncodedResponse[Outcome]:
        """Closes an account for good: it cannot book any more. Its bookings stay; they can be amended to take less, and
        cancelled.

        Refused if the project does not list the account. 200 if it was closed before.
        """
        name = asked_name(account, "account")
        return await change(request, data, data.project, CloseAccount(account=name), name)

    @command_post("/accounts/{account:str}/members/add", summary="Add a member to an account")
    async def add_member(
        self, request: AnyRequest, account: AccountInPath, data: JSONBody[AccountMemberRequest]
    ) -> EncodedResponse[Outcome]:
        """Adds a person or a group to an account. With the role `member` on a pool, they book there for the account.

        Refused if the project does not list the account. 200 if they belong to it already.
        """
        name, member = asked_name(account, "account"), checked_member(data.member, "member")
        return await change(request, data, data.project, AddAccountMember(account=name, member=member), name)

    @command_post("/accounts/{account:str}/members/remove", summary="Remove a member from an account")
    async def remove_member(
        self, request: AnyRequest, account: AccountInPath, data: JSONBody[AccountMemberRequest]
    ) -> EncodedResponse[Outcome]:
        """Removes a person or a group from an account. The bookings of the account stay.

        Refused if the project does not list the account. 200 if they do not belong to it.
        """
        name, member = asked_name(account, "account"), checked_member(data.member, "member")
        return await change(request, data, data.project, RemoveAccountMember(account=name, member=member), name)

    @post("/accounts/create/limits", include_in_schema=False)
    async def set_limits_of_create(
        self, request: AnyRequest, data: JSONBody[LimitsRequest]
    ) -> EncodedResponse[Outcome]:
        """The limits of an account with the name `create`: its path begins like that of another command."""
        return await change(request, data, data.project, SetLimits(account="create", limits=data.limits), "create")

    @post("/accounts/create/close", include_in_schema=False)
    async def close_create(self, request: AnyRequest, data: JSONBody[InProjectRequest]) -> EncodedResponse[Outcome]:
        """Closes an account with the name `create`."""
        return await change(request, data, data.project, CloseAccount(account="create"), "create")

    @post("/accounts/create/members/add", include_in_schema=False)
    async def add_member_of_create(
        self, request: AnyRequest, data: JSONBody[AccountMemberRequest]
    ) -> EncodedResponse[Outcome]:
        """Adds a member to an account with the name `create`."""
        command = AddAccountMember(account="create", member=checked_member(data.member, "member"))
        return await change(request, data, data.project, command, "create")

    @post("/accounts/create/members/remove", include_in_schema=False)
    async def remove_member_of_create(
        self, request: AnyRequest, data: JSONBody[AccountMemberRequest]
    ) -> EncodedResponse[Outcome]:
        """Removes a member from an account with the name `create`."""
        command = RemoveAccountMember(account="create", member=checked_member(data.member, "member"))
        return await change(request, data, data.project, command, "create")
