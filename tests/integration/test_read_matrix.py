"""Every GET operation of the query service, for every role at every place: the status from one table."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from litestar import Controller, Litestar, get
from litestar.testing import AsyncTestClient

from services.command.app import create_app as create_command
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app
from services.query.routes.forms import in_json
from services.query.routes.needs import Needs, on_found
from services.query.routes.parts import AnyRequest
from services.query.routes.reads import NEEDS, Undeclared, check_declared, learn_parameters, read
from services.query.settings import Settings
from shared.http.responses import EncodedResponse
from shared.identity.roles import ROLE_FOR, Right
from tests.support.marked import Marked, marked
from tests.support.matrix import MAY, Who, everybody, headers_of, holds, operations_of
from tests.support.querying import serving
from tests.support.signed_in import ADMIN, auth_file, signed_in

pytestmark = pytest.mark.odd_store
ROOT = Path(__file__).parents[2]

RANGE = "range=2086-01-01,2086-01-03"
SPARK, ANYWHERE = "gaia.spark", "anywhere"


class Read(NamedTuple):
    """A question. It needs `needs` on `pool`, which somebody who may not `see` it does not find. Of a list, `pool` is
    ANYWHERE, or a project of which it tells; the list shows the part that one may see. `whole`: only roles on whole
    projects count. `found`: by an id, so it is there for nobody who lacks the right."""

    path: str
    needs: str
    pool: str | None = None
    listed: bool = False
    whole: bool = False
    found: bool = False


def on(needs: str, path: str, pool: str = SPARK) -> Read:
    return Read(path, needs, pool)


def listed(needs: str, path: str, pool: str = ANYWHERE, *, whole: bool = False) -> Read:
    return Read(path, needs, pool, listed=True, whole=whole)


def found(needs: str, path: str, pool: str | None = SPARK) -> Read:
    return Read(path, needs, pool, found=True)


def history(path: str, pool: str) -> Read:
    """The history of a thing. Whoever reads names nowhere gets 403, whatever the id."""
    return Read(path, "names", pool, listed=True, found=True)


def both(needs: str, path: str, more: str = f"&{RANGE}") -> list[Read]:
    """A question about a cluster, and the same about its project."""
    return [on(needs, f"{path}clusterid={SPARK}{more}"), on(needs, f"{path}project=gaia{more}", "gaia")]


def trees(needs: str, path: str, more: str = f"&{RANGE}") -> list[Read]:
    """A question about a cluster and what is inside it, and the same about its project. It shows the part that one may
    see."""
    return [listed(needs, f"{path}clusterid={SPARK}{more}", SPARK), listed(needs, f"{path}project=gaia{more}", "gaia")]


# A new operation needs a line here: what it needs, and where.
READS: Mapping[str, list[Read]] = {
    "/accounts": [on("names", "/accounts?project=gaia", "gaia")],
    "/accounts/{account}/usage": [
        listed("names", f"/accounts/zz/usage?{RANGE}"),
        listed("names", f"/accounts/zz/usage?project=gaia&{RANGE}", "gaia"),
    ],
    "/accounts/{feed}": [listed("names", "/accounts/zz.ics")],
    "/accounts/members": [on("names", "/accounts/members?project=gaia", "gaia")],
    "/asyncapi.json": [Read("/asyncapi.json", "nothing")],
    "/asyncapi.yaml": [Read("/asyncapi.yaml", "nothing")],
    "/audit/checkpoint": [Read("/audit/checkpoint", "nothing")],
    "/audit/consistency": [Read("/audit/consistency?from=1", "nothing")],
    "/audit/inclusion": [found("names", "/audit/inclusion?position={at_gaia_spark}")],
    "/audit/key": [Read("/audit/key", "nothing")],
    "/available/diff": both("names", "/available/diff?from=1&to=20&"),
    "/available/matrix": trees("see", "/available/matrix?"),
    "/available/now": [
        on("see", f"/available/now?clusterid={SPARK}"),
        on("see", "/available/now?project=gaia", "gaia"),
    ],
    "/available/select": both("see", "/available/select?"),
    "/available/slots": [
        on("see", f"/available/slots?clusterid={SPARK}&duration=2h&cores=1"),
        *trees("see", "/available/slots?tree=true&duration=2h&cores=1&"),
    ],
    "/bookings/load": both("names", "/bookings/load?"),
    "/bookings/select": [*both("names", "/bookings/select?"), *trees("names", "/bookings/select?tree=true&")],
    "/bookings/series/{series}": [found("names", "/bookings/series/{series_gaia_spark}")],
    "/bookings/{booking}/history": [
        Read("/bookings/{booking_gaia_spark}/history", "names", SPARK, listed=True, found=True)
    ],
    "/clusters/{cluster}/history": [on("names", f"/clusters/{SPARK}/history")],
    "/clusters/{cluster}/sizes": [on("see", f"/clusters/{SPARK}/sizes")],
    "/clusters/{feed}": [on("names", f"/clusters/{SPARK}.ics")],
    "/conflicts/select": both("names", "/conflicts/select?"),
    "/entitlements": [
        listed("names", "/entitlements?account=zz"),
        listed("names", "/entitlements?account=zz&project=gaia", "gaia"),
    ],
    "/entitlements/stream": [
        listed("names", "/entitlements/stream?account=zz"),
        listed("names", "/entitlements/stream?account=zz&project=gaia", "gaia"),
    ],
    "/events": [listed("names", "/events"), listed("names", "/events?project=gaia", "gaia")],
    "/events/stream": [
        listed("names", "/events/stream?after=0"),
        listed("names", "/events/stream?project=gaia", "gaia"),
    ],
    "/events/{position}": [found("names", "/events/{at_gaia_spark}")],
    "/feeds": [Read("/feeds", "nothing")],
    "/health": [Read("/health", "public")],
    "/magcluster/sizes": both("see", "/magcluster/sizes?"),
    "/magcluster/{cluster}": [on("see", f"/magcluster/{SPARK}")],
    "/magcluster/{cluster}/resizes": [on("names", f"/magcluster/{SPARK}/resizes")],
    "/me": [Read("/me", "nothing")],
    "/notices": [listed("names", "/notices"), listed("names", "/notices?project=gaia", "gaia")],
    "/notices/stream": [listed("names", "/notices/stream"), listed("names", "/notices/stream?project=gaia", "gaia")],
    "/novaquota/allocated": both("see", "/novaquota/allocated?"),
    "/novaquota/available": both("see", "/novaquota/available?"),
    "/novaquota/{grant}": [found("names", "/novaquota/{grant_gaia}", "gaia")],
    "/people": [listed("names", "/people?ids=egi:ada")],
    "/people/{person}": [listed("names", "/people/egi:root")],
    "/pools": [listed("see", "/pools"), listed("see", "/pools?project=gaia", "gaia")],
    "/projects": [listed("see", "/projects")],
    "/projects/{feed}": [on("names", "/projects/gaia.ics", "gaia")],
    "/refusals": [
        listed("audit", "/refusals", whole=True),
        listed("audit", "/refusals?project=gaia", "gaia", whole=True),
    ],
    "/resources/select": both("names", "/resources/select?"),
    "/resources/{grant}/history": [history("/resources/{grant_gaia}/history", "gaia")],
    "/roles": [
        listed("see", "/roles"),
        listed("see", "/roles?project=gaia", "gaia"),
        on("see", f"/roles?pool={SPARK}"),
    ],
    "/schemas/events": [Read("/schemas/events", "nothing")],
    "/schemas/events/{name}": [Read("/schemas/events/BookingCreated.json", "nothing")],
    "/templates": [listed("see", "/templates?project=gaia", "gaia")],
    "/tokens": [Read("/tokens", "nothing")],
    "/webhooks": [
        listed("manage", "/webhooks", whole=True),
        listed("manage", "/webhooks?project=gaia", "gaia", whole=True),
    ],
    "/webhooks/{webhook}": [
        found("manage", "/webhooks/{hook_gaia}", "gaia"),
        found("manage", "/webhooks/{hook}", None),
    ],
    "/webhooks/{webhook}/dead-letters": [found("manage", "/webhooks/{hook_gaia}/dead-letters", "gaia")],
}
ONLY_SIGNED_IN = {"/feeds", "/people", "/people/{person}", "/tokens"}
# Not in the document: it is for programs that watch the service.
BESIDE = {"/metrics": [Read("/metrics", "see", None)]}


def expected(read: Read, who: Who) -> int:
    if read.needs == "public":
        return 200
    if who.stranger:
        return 401
    if read.needs == "nothing":
        return 200
    if read.listed:
        return expected_of_list(read, who)
    may = who.may(read.pool)
    if read.needs in may:
        return 200
    if read.found or (read.pool is not None and "see" not in may):
        return 404
    return 403


def expected_of_list(read: Read, who: Who) -> int:
    may = MAY[who.role] if who.role is not None else frozenset()
    if read.found:
        if read.needs not in may:
            return 403
        return 200 if read.needs in who.may(read.pool) else 404
    if read.pool == ANYWHERE:
        lists = read.needs == "see" or (read.needs in may and not (read.whole and "." in (who.place or "")))
        return 200 if lists else 403
    assert read.pool is not None
    if who.role is None or not (who.place is None or holds(who.place, read.pool) or holds(read.pool, who.place)):
        return 404
    return 200 if read.needs in may and not (read.whole and "." in (who.place or "")) else 403


class Forgetful(Controller):
    @read("/forgetful", "Checks nothing", in_json(Any), on_found(Right.NAMES, "nothing"))
    async def forgetful(self, request: AnyRequest) -> EncodedResponse[bytes]:
        del request
        return EncodedResponse(b"{}")


async def status_of(ground: Marked, path: str, headers: dict[str, str]) -> int:
    """A live stream is asked by HEAD, because its answer does not end."""
    live = path.partition("?")[0].endswith("/stream")
    return (await ground.client.request("HEAD" if live else "GET", ground.path(path), headers=headers)).status_code


async def test_every_read_answers_each_role_at_each_place_as_the_table_says(database_url: str, tmp_path: Path) -> None:
    async with marked(database_url, tmp_path) as ground:
        document = (await ground.client.get("/schema/openapi.json")).json()
        reads = {path for method, path in operations_of(document) if method == "GET"}
        assert {path for path in reads if not path.startswith("/sign-in/") and not path.endswith("/command")} == set(
            READS
        )
        wrong: list[Any] = []
        for who in everybody():
            headers = await headers_of(database_url, who)
            for read in [one for reads in (READS | BESIDE).values() for one in reads]:
                status, right = await status_of(ground, read.path, headers), expected(read, who)
                if status != right:
                    wrong.append(("stranger" if who.stranger else who.id, read.path, status, right))
        assert wrong == []


async def test_where_nobody_signs_in_everything_is_answered(database_url: str, tmp_path: Path) -> None:
    async with marked(database_url, tmp_path) as ground, serving(Settings(database_url=database_url)) as ground.client:
        open_to_all = {path: reads for path, reads in (READS | BESIDE).items() if path not in ONLY_SIGNED_IN}
        for read in [one for reads in open_to_all.values() for one in reads]:
            assert await status_of(ground, read.path, {}) == 200, read.path


def test_a_route_that_says_no_right_does_not_start() -> None:
    @get("/new")
    async def new() -> str:
        return "x"

    with pytest.raises(Undeclared, match="GET /new"):
        check_declared(Litestar([new], openapi_config=None), ())


async def test_a_handler_that_makes_no_check_answers_500(database_url: str, tmp_path: Path) -> None:
    settings = Settings(database_url=database_url, auth_file=auth_file(tmp_path, ledger={"reader": ["egi:ada"]}))
    ada = await signed_in(database_url, "egi:ada")
    app = create_app(settings)
    app.register(Forgetful)
    learn_parameters(app)
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        assert (await client.get("/forgetful", headers=ada)).status_code == 500


def test_the_documents_have_a_line_for_each_read() -> None:
    text = (ROOT / "docs" / "reading.md").read_text()
    app = create_app(Settings(database_url="postgresql://127.0.0.1:1/none"))
    for route in app.routes:
        handler = getattr(route, "route_handler_map", {}).get("GET", (None,))[0]
        if handler is None or not isinstance(needs := handler.opt.get(NEEDS), Needs):
            continue
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
        role = "any principal" if needs.right is None else ROLE_FOR[needs.right]
        assert f"| `{path}` | {role} | {needs.on} |" in text


async def test_health_tells_a_stranger_that_something_is_wrong_and_an_auditor_what(
    database_url: str, tmp_path: Path
) -> None:
    settings = CommandSettings(database_url=database_url, auth_file=auth_file(tmp_path), nats_url="nats://127.0.0.1:1")
    async with AsyncTestClient(create_command(settings)) as client:
        root, ada = await signed_in(database_url, ADMIN), await signed_in(database_url, "egi:ada")
        async with asyncio.timeout(20):
            while (await client.get("/health")).json()["trouble"] is None:
                await asyncio.sleep(0.05)
        for headers, says in (({}, "the log"), (ada, "the log"), (root, "127.0.0.1")):
            assert says in (await client.get("/health", headers=headers)).json()["trouble"]
        for headers, status in (({}, 401), (ada, 403), (root, 200)):
            assert (await client.get("/metrics", headers=headers)).status_code == status
