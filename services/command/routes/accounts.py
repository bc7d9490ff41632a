"""Templates and accounts: what bookings are made of, and who makes them."""

from __future__ import annotations

from litestar import post
from litestar.params import FromPath, JSONBody

from services.command.domain import CloseAccount, CreateAccount, CreateTemplate, SetLimits
from services.command.routes.requests import AccountRequest, InProjectRequest, LimitsRequest, TemplateRequest
from services.command.routes.submit import AnyRequest, Commands, Decided, command_post
from shared.http.responses import Encoded
from shared.names import asked_name


class Accounts(Commands):
    @command_post("/templates/create")
    async def create_template(self, request: AnyRequest, data: JSONBody[TemplateRequest]) -> Encoded[Decided]:
        """Makes the next version of a named capacity; bookings made from earlier ones stay as they are."""
        command = CreateTemplate(template=data.name, capacity=data.capacity())
        return await self.do(request, data, data.project, command, data.name)

    @command_post("/accounts/create")
    async def create_account(self, request: AnyRequest, data: JSONBody[AccountRequest]) -> Encoded[Decided]:
        """Lists an account. A project that lists any takes bookings of these only."""
        command = CreateAccount(account=data.account, name=data.name or data.account, limits=data.limits)
        return await self.do(request, data, data.project, command, data.account)

    @command_post("/accounts/{account:str}/limits")
    async def set_limits(
        self, request: AnyRequest, account: FromPath[str], data: JSONBody[LimitsRequest]
    ) -> Encoded[Decided]:
        name = asked_name(account, "account")
        return await self.do(request, data, data.project, SetLimits(account=name, limits=data.limits), name)

    @command_post("/accounts/{account:str}/close")
    async def close_account(
        self, request: AnyRequest, account: FromPath[str], data: JSONBody[InProjectRequest]
    ) -> Encoded[Decided]:
        """It books nothing more; what it holds stays."""
        name = asked_name(account, "account")
        return await self.do(request, data, data.project, CloseAccount(account=name), name)

    @post("/accounts/create/limits", include_in_schema=False)
    async def set_limits_of_create(self, request: AnyRequest, data: JSONBody[LimitsRequest]) -> Encoded[Decided]:
        """An account may be called `create` too; its path begins as that of another command."""
        return await self.do(request, data, data.project, SetLimits(account="create", limits=data.limits), "create")

    @post("/accounts/create/close", include_in_schema=False)
    async def close_create(self, request: AnyRequest, data: JSONBody[InProjectRequest]) -> Encoded[Decided]:
        return await self.do(request, data, data.project, CloseAccount(account="create"), "create")
