"""The tree of pools, and the health of the service."""

from __future__ import annotations

from litestar import Controller, get

from services.query.answers.answers import visible
from services.query.database import again
from services.query.documents import catalogue, service
from services.query.questions.parameters import checked_after, optional_name, optional_project
from services.query.questions.sight import whole_or
from services.query.routes.answering import asked_database, respond
from services.query.routes.forms import in_json
from services.query.routes.needs import seen, somewhere
from services.query.routes.parameters import TAKES_AS_OF, FindText, MinPosition, PageAfter, PageLimit, Project
from services.query.routes.parts import AnyRequest, parts_of
from services.query.routes.reads import read
from services.query.views.pools import Asked, read_pools, read_projects
from shared.http.answers import ANSWERS
from shared.http.responses import EncodedResponse
from shared.http.sign_in import ANYBODY
from shared.identity.roles import Right


class Pools(Controller):
    """The tree of pools: projects, the clusters in them, and the deployments in those."""

    parameters = TAKES_AS_OF

    @read("/projects", "All projects", in_json(catalogue.ProjectPage), somewhere(Right.SEE))
    async def projects(
        self,
        request: AnyRequest,
        find: FindText = None,
        limit: PageLimit = 1000,
        after: PageAfter = None,
        min_position: MinPosition = 0,
    ) -> EncodedResponse[bytes]:
        """`{position, projects: [{id, parent, project, name, kind, start, end}], next}`, ordered by id: those that you
        may see.

        `next` is the `after` of the next page, null on the last page; the header `Hourbook-Next` says the same."""
        asked = Asked(checked_after(after), limit, optional_name(find, "find"))
        positions, within = parts_of(request).positions, seen(request)
        async with asked_database(request) as database:
            return respond(await visible(positions, min_position, lambda: read_projects(database, asked, within)))

    @read("/pools", "All pools, or those of a project", in_json(catalogue.PoolPage), somewhere(Right.SEE))
    async def pools(
        self,
        request: AnyRequest,
        project: Project = None,
        find: FindText = None,
        limit: PageLimit = 1000,
        after: PageAfter = None,
        min_position: MinPosition = 0,
    ) -> EncodedResponse[bytes]:
        """`{position, pools: [{id, parent, project, name, kind, start, end, layout}], next}`, ordered by id: those that
        you may see.

        With `project`: the project and all clusters and deployments in it. `start` and `end` are null for a project.
        `layout` has the nodes of a cluster; it is null for a cluster whose size was given as counts alone.
        `next` is the `after` of the next page, null on the last page; the header `Hourbook-Next` says the same."""
        asked = Asked(checked_after(after), limit, optional_name(find, "find"))
        positions, wanted = parts_of(request).positions, optional_project(project)
        within = whole_or(seen(request), wanted)
        async with asked_database(request) as database:
            return respond(await visible(positions, min_position, lambda: read_pools(database, wanted, asked, within)))


class Health(Controller):
    """Whether the service can answer."""

    @get(
        "/health", security=ANYBODY, summary="Health of the query service", opt={ANSWERS: in_json(service.QueryHealth)}
    )
    async def health(self, request: AnyRequest) -> dict[str, str | int | float]:
        """`{status: "ok", position, head}` while the database answers. `position` is the last event that the read
        models show, `head` the last event that is stored.

        Where a standby is read, also `standby_behind_seconds`: for how long it has not had all that the primary had;
        and `primary_unasked_seconds`: how long ago the primary said what it has."""
        parts = parts_of(request)
        if parts.standby is not None:
            parts.standby.check()
        position, head = await again(parts.positions.read)
        told: dict[str, str | int | float] = {"status": "ok", "position": position, "head": head}
        if parts.standby is not None:
            told["standby_behind_seconds"] = round(parts.standby.lag.behind_s, 1)
            told["primary_unasked_seconds"] = round(parts.standby.unasked_s, 1)
        return told
