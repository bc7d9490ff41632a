"""The templates and accounts of a project, and what an account uses."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller
from litestar.params import PathParameter

from services.query.documents import catalogue
from services.query.questions.model import AccountsQuestion, TemplatesQuestion, UsageQuestion
from services.query.questions.parameters import optional_project, parse_dimensions, parse_grain_or_day, required_range
from services.query.questions.roles import parse_row, parse_template_row
from services.query.questions.sight import whole_or
from services.query.routes.answering import answered, preferred
from services.query.routes.forms import CSV, in_json
from services.query.routes.needs import given_project, has, in_project, on_project, seen, somewhere
from services.query.routes.parameters import (
    TAKES_AS_OF_AND_BOM,
    DimensionsText,
    GrainText,
    MinPosition,
    PageAfter,
    PageLimit,
    Project,
    RangeText,
    ZoneText,
)
from services.query.routes.parts import AnyRequest
from services.query.routes.reads import read
from services.query.views.accounts import read_accounts, read_usage
from services.query.views.templates import read_templates
from shared.hours import parse_zone
from shared.http.responses import EncodedResponse
from shared.identity.roles import Right
from shared.names import asked_name

AccountName = Annotated[str, PathParameter(description="The name of an account, as bookings name it.")]


LISTED_MAX = 10_000  # in a page, where the client does not say how many: most projects fit into one


class Catalogue(Controller):
    parameters = TAKES_AS_OF_AND_BOM

    @read("/templates", "Templates of a project", in_json(catalogue.TemplateList, also=(CSV,)), in_project(Right.SEE))
    async def templates(
        self,
        request: AnyRequest,
        project: Project = None,
        limit: PageLimit = LISTED_MAX,
        after: PageAfter = None,
        min_position: MinPosition = 0,
    ) -> EncodedResponse[bytes]:
        """`{project, position, templates: [{id, name, version, actor, created, capacity}], next}`.

        Every version of every template, ordered by name, the newest version first. `id` is `<name>@<version>`,
        `created` is a position. `project` must be given. `actor` is null for those who may not see names in the
        project. `next` is the `after` of the next page, null on the last page; the header `Hourbook-Next` says the
        same. As text/csv: one row for each version."""
        wanted = given_project(project)
        names = await has(request, Right.NAMES, wanted)
        question = TemplatesQuestion(
            project=wanted, csv=preferred(request, CSV), names=names, after=parse_template_row(after), limit=limit
        )
        return await answered(request, question, read_templates, min_position)

    @read(
        "/accounts",
        "Accounts that a project lists",
        in_json(catalogue.AccountList, also=(CSV,)),
        on_project(Right.NAMES),
    )
    async def accounts(
        self,
        request: AnyRequest,
        project: Project = None,
        limit: PageLimit = LISTED_MAX,
        after: PageAfter = None,
        min_position: MinPosition = 0,
    ) -> EncodedResponse[bytes]:
        """`{project, position, accounts: [{account, name, limits, closed, created}], next}`, ordered by account.

        A project that lists no accounts takes bookings of any account. `created` is a position. `project` must be
        given. `next` is the `after` of the next page, null on the last page; the header `Hourbook-Next` says the same.
        As text/csv: one row for each account."""
        (last,) = parse_row(after, 1)
        question = AccountsQuestion(
            project=given_project(project), csv=preferred(request, CSV), after=last, limit=limit
        )
        return await answered(request, question, read_accounts, min_position)

    @read(
        "/accounts/{account:str}/usage",
        "Usage of an account, in blocks of time",
        in_json(catalogue.Usage, also=(CSV,)),
        somewhere(Right.NAMES),
    )
    async def usage(
        self,
        request: AnyRequest,
        account: AccountName,
        project: Project = None,
        period: RangeText = None,
        grain: GrainText = None,
        tz: ZoneText = "UTC",
        dimensions: DimensionsText = None,
        min_position: MinPosition = 0,
    ) -> EncodedResponse[bytes]:
        """`{account, project, range, grain, timezone, position, blocks: [{start, end, hours, used}]}`, `used` by
        dimension.

        `used` is in resource-hours: for each dimension, the sum over the hours of the block of what the account's
        bookings hold. Shares of a cluster count as that part of the cluster's size, rounded up in each hour. Without
        `project`: in all projects. Only bookings in pools whose names you may see count. An answer has at most 10,000
        blocks. As text/csv: one row for each block."""
        zone, wanted = parse_zone(tz), optional_project(project)
        question = UsageQuestion(
            account=asked_name(account, "account"),
            project=wanted,
            period=required_range(period, zone),
            grain=parse_grain_or_day(grain),
            zone=zone.key,
            dimensions=parse_dimensions(dimensions),
            csv=preferred(request, CSV),
            within=whole_or(seen(request), wanted),
        )
        return await answered(request, question, read_usage, min_position)
