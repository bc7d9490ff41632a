"""Templates and accounts: what bookings are made of, and who makes them."""

from __future__ import annotations

from litestar.params import FromPath, JSONBody

from services.command.domain import CloseAccount, CreateAccount, CreateTemplate, SetLimits
from services.command.requests import AccountRequest, InProjectRequest, LimitsRequest, TemplateRequest
from services.command.routes.submit import AnyRequest, Commands, Decided, command_post
from shared.answer import Encoded


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
        command = SetLimits(account=account, limits=data.limits)
        return await self.do(request, data, data.project, command, account)

    @command_post("/accounts/{account:str}/close")
    async def close_account(
        self, request: AnyRequest, account: FromPath[str], data: JSONBody[InProjectRequest]
    ) -> Encoded[Decided]:
        """It books nothing more; what it holds stays."""
        return await self.do(request, data, data.project, CloseAccount(account=account), account)
