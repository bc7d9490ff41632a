"""The templates and accounts of a project, and what an account uses."""

from __future__ import annotations

from typing import ClassVar

from litestar import Controller, get
from litestar.params import FromPath, FromQuery

from services.query.answers.answers import Answers
from services.query.questions.model import AccountsQuestion, TemplatesQuestion, UsageQuestion
from services.query.questions.parameters import checked_project, parse_dimensions, parse_grain_or_day, required
from services.query.routes.calendars import (
    BOTH_PARAMETERS,
    CSV,
    TAKES_BOTH,
    AnyRequest,
    DimensionsText,
    GrainText,
    MinPosition,
    RangeText,
    ZoneText,
    answered,
    preferred,
    refuse_unknown,
)
from services.query.views.accounts import read_accounts, read_usage
from services.query.views.templates import read_templates
from shared.hours import parse_range, parse_zone
from shared.http.responses import Encoded
from shared.names import asked_name


class Catalogue(Controller):
    answers: ClassVar[Answers]
    opt = TAKES_BOTH
    parameters = BOTH_PARAMETERS

    @get("/templates")
    async def templates(
        self, request: AnyRequest, project: FromQuery[str | None] = None, min_position: MinPosition = 0
    ) -> Encoded[bytes]:
        """`{project, position, templates: [{id, name, version, capacity, actor, created}]}`: every version, of each
        name the newest first. `created` is a position."""
        refuse_unknown(request, frozenset({"project", "min_position"}))
        question = TemplatesQuestion(project=given_project(project), csv=preferred(request, CSV))
        return await answered(self.answers, request, question, read_templates, min_position)

    @get("/accounts")
    async def accounts(
        self, request: AnyRequest, project: FromQuery[str | None] = None, min_position: MinPosition = 0
    ) -> Encoded[bytes]:
        """`{project, position, accounts: [{account, name, limits, closed, created}]}`: those that the project lists."""
        refuse_unknown(request, frozenset({"project", "min_position"}))
        question = AccountsQuestion(project=given_project(project), csv=preferred(request, CSV))
        return await answered(self.answers, request, question, read_accounts, min_position)

    @get("/accounts/{account:str}/usage")
    async def usage(
        self,
        request: AnyRequest,
        account: FromPath[str],
        project: FromQuery[str | None] = None,
        period: RangeText = None,
        grain: GrainText = None,
        tz: ZoneText = "UTC",
        dimensions: DimensionsText = None,
        min_position: MinPosition = 0,
    ) -> Encoded[bytes]:
        """Per block what the account uses, of one project or of all, as resource-hours: of each dimension the sum of
        what its bookings hold in each hour. Its shares of a cluster count what they are of its size, rounded up."""
        refuse_unknown(request, frozenset({"project", "range", "grain", "tz", "dimensions", "min_position"}))
        zone = parse_zone(tz)
        question = UsageQuestion(
            account=asked_name(account, "account"),
            project=None if project is None else checked_project(project),
            period=parse_range(required(period, "range", "two dates, as 2020-06-08,2020-06-14"), zone),
            grain=parse_grain_or_day(grain),
            zone=zone.key,
            dimensions=parse_dimensions(dimensions),
            csv=preferred(request, CSV),
        )
        return await answered(self.answers, request, question, read_usage, min_position)


def given_project(project: str | None) -> str:
    return checked_project(required(project, "project", "a project"))
