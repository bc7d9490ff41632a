"""Every operation of the command service, for every role at every place: the status from one table."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from litestar.routes import HTTPRoute

from tests.support.ground import DAY, FLAVORS, HOOK, MONTH, Ground, grounded
from tests.support.matrix import (
    OK,
    PUBLIC,
    SIGNED_IN,
    Line,
    Who,
    everybody,
    expected,
    headers_of,
    ledger_roles,
    operations_of,
)

SPARK, DEEP = "gaia.spark", "gaia.spark.deep"
IN_GAIA = {"project": "gaia"}
EVE = {"member": "egi:eve"}
BOOKING = {"account": "team", "cores": 1, **DAY}
ROLE = {"role": "viewer", **EVE}


def of_project(path: str, **body: Any) -> list[Line]:
    return [Line(path, IN_GAIA | body, "manage", "gaia")]


def of_webhook(path: str) -> list[Line]:
    """By the id of a webhook. Only its managers see that it is there."""
    hooks = (("{hook}", "gaia"), ("{ledger_hook}", None))
    return [Line(path.replace("{}", hook), None, "manage", pool, "manage", dry=False) for hook, pool in hooks]


def of_booking(path: str, **body: Any) -> list[Line]:
    return [Line(path, body, "book", SPARK, "names", account=True)]


# A new operation needs a line here: what it needs, and where.
LINES: dict[tuple[str, str], list[Line]] = {
    ("GET", "/health"): [Line("/health", None, PUBLIC, dry=False)],
    ("POST", "/projects/create"): [Line("/projects/create", {"id": "new", "name": "New"}, "administer", None, None)],
    ("POST", "/resources/create"): of_project("/resources/create", cores=1, **MONTH),
    ("POST", "/resources/{grant}/withdraw"): [Line("/resources/{grant}/withdraw", {}, "manage", "gaia", "names")],
    ("POST", "/novaquota/create"): of_project("/novaquota/create", cores=1, **MONTH),
    ("DELETE", "/novaquota/{grant}"): [Line("/novaquota/{grant}", None, "manage", "gaia", "names")],
    ("POST", "/clusters/create"): [
        Line("/clusters/create", {"parent": pool, "cores": 1, **MONTH}, "manage", pool) for pool in ("gaia", SPARK)
    ],
    ("POST", "/clusters/{cluster}/resize"): [
        Line("/clusters/gaia.spark/resize", {"cores": 99, "servers": 20}, "manage", "gaia"),
        Line("/clusters/gaia.spark.deep/resize", {"cores": 8}, "manage", SPARK),
    ],
    ("POST", "/magcluster/create"): [
        Line("/magcluster/create", {"parent": SPARK, **FLAVORS, **MONTH}, "manage", SPARK)
    ],
    ("POST", "/magcluster/{cluster}/resize"): [
        Line("/magcluster/gaia.spark.m/resize", {"workercount": 2, "status": status}, "manage", SPARK)
        for status in ("applied", "requested")
    ],
    ("POST", "/magcluster/{cluster}/resizes/{wish}/apply"): [
        Line("/magcluster/gaia.spark.m/resizes/{wish}/apply", {}, "manage", SPARK)
    ],
    ("POST", "/magcluster/{cluster}/resizes/{wish}/fail"): [
        Line("/magcluster/gaia.spark.m/resizes/{wish}/fail", {"error": "no"}, "manage", SPARK)
    ],
    ("POST", "/bookings/create"): [
        Line("/bookings/create", BOOKING | {"project": "gaia"}, "book", "gaia", account=True),
        Line("/bookings/create", BOOKING | {"clusterid": SPARK}, "book", SPARK, account=True),
        Line(
            "/bookings/create",
            BOOKING | {"clusterid": SPARK, "rrule": "FREQ=DAILY;COUNT=2"},
            "book",
            SPARK,
            "see",
            True,
        ),
        Line("/bookings/create", BOOKING | {"project": "gaia", "share": "100%"}, "book", "gaia", account=True),
    ],
    ("POST", "/bookings/{booking}/amend"): of_booking("/bookings/{booking}/amend", cores=3),
    ("POST", "/bookings/{booking}/cancel"): of_booking("/bookings/{booking}/cancel"),
    ("POST", "/bookings/series/{series}/amend"): of_booking("/bookings/series/{series}/amend", cores=3),
    ("POST", "/bookings/series/{series}/cancel"): of_booking("/bookings/series/{series}/cancel"),
    ("POST", "/templates/create"): of_project("/templates/create", name="large", cores=9),
    ("POST", "/accounts/create"): of_project("/accounts/create", account="crew"),
    ("POST", "/accounts/{account}/limits"): of_project("/accounts/team/limits", limits={"ahead_hours": 9}),
    ("POST", "/accounts/{account}/close"): of_project("/accounts/team/close"),
    ("POST", "/accounts/{account}/members/add"): of_project("/accounts/team/members/add", **EVE),
    ("POST", "/accounts/{account}/members/remove"): of_project("/accounts/team/members/remove", **EVE),
    ("POST", "/roles/grant"): [
        Line("/roles/grant", ROLE | {"pool": pool}, "administer", pool) for pool in ("gaia", SPARK, DEEP)
    ],
    ("POST", "/roles/revoke"): [
        Line("/roles/revoke", ROLE | {"pool": pool}, "administer", pool) for pool in ("gaia", SPARK, DEEP)
    ],
    ("POST", "/webhooks"): [
        Line("/webhooks", IN_GAIA | {"url": HOOK}, "manage", "gaia", dry=False),
        Line("/webhooks", {"url": HOOK}, "manage", None, None, dry=False),
    ],
    ("DELETE", "/webhooks/{webhook}"): of_webhook("/webhooks/{}"),
    ("POST", "/webhooks/{webhook}/resume"): of_webhook("/webhooks/{}/resume"),
    ("POST", "/webhooks/{webhook}/dead-letters/redeliver"): of_webhook("/webhooks/{}/dead-letters/redeliver"),
    ("POST", "/webhooks/{webhook}/dead-letters/{message}/redeliver"): of_webhook(
        "/webhooks/{}/dead-letters/m1/redeliver"
    ),
}
LINES |= {
    ("POST", "/tokens/create"): [
        Line("/tokens/create", {"name": "t", "limits": [{"role": role, "pool": "gaia"}]}, needs, "gaia", dry=False)
        for role, needs in (("viewer", "see"), ("manager", "manage"))
    ],
    ("POST", "/tokens/{token}/revoke"): [
        Line("/tokens/{token}/revoke", None, "administer", None, "administer", dry=False)
    ],
    ("POST", "/feeds/create"): [Line("/feeds/create", {"path": "/projects/gaia.ics"}, "names", "gaia", dry=False)],
    ("POST", "/feeds/{feed}/revoke"): [Line("/feeds/{feed}/revoke", None, "administer", None, "administer", dry=False)],
}
LEASE = {"start_date": "2086-01-01T10:30", "end_date": "2086-01-01T12:30", "reservations": []}
LINES |= {
    ("POST", f"/openstack/blazar/{{pool}}/{call}"): [
        Line(
            f"/openstack/blazar/{SPARK}/{call}",
            {"context": {"project_id": "team"}, "lease": LEASE, "current_lease": LEASE},
            "manage",
            SPARK,
            dry=False,
        )
    ]
    for call in ("check-create", "check-update", "on-end")
}
# Whoever signs in or out needs no role; what they need stands in test_sign_in.py.
LINES |= {
    ("GET", "/sign-in/ways"): [Line("/sign-in/ways", None, PUBLIC, dry=False)],
    ("GET", "/sign-in/{issuer}"): [],
    ("GET", "/sign-in/{issuer}/callback"): [],
    ("POST", "/sign-in/token"): [],
    ("POST", "/sign-out"): [],
    # The last line: it ends the session with which the others are asked.
    ("POST", "/sign-out/everywhere"): [Line("/sign-out/everywhere", None, SIGNED_IN, dry=False)],
}
# Routes that are not in the document. Each carries out the command of another one, for an account with the name create.
UNLISTED = {
    "/accounts/create/limits",
    "/accounts/create/close",
    "/accounts/create/members/add",
    "/accounts/create/members/remove",
    "/live",
    "/metrics",
}


@pytest.fixture
async def ground(database_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    async with grounded(database_url, tmp_path, ledger=ledger_roles()) as ground:
        yield ground


async def test_every_operation_has_a_line(ground: Ground) -> None:
    """The document has the reads of the query service, too. Its health is another path at the one address."""
    document = (await ground.client.get("/schema/openapi.json")).json()
    routes = [route for route in ground.client.app.routes if isinstance(route, HTTPRoute)]
    own = {(method, re.sub(r":\w+}", "}", route.path)) for route in routes for method in route.route_handler_map}
    listed = {one for one in own if one[0] in ("GET", "POST", "DELETE") and not one[1].startswith("/schema")}
    assert {path for _, path in listed - LINES.keys()} == UNLISTED
    assert LINES.keys() <= listed
    assert LINES.keys() - {("GET", "/health")} <= operations_of(document)


async def test_the_status_of_every_operation_for_every_role_at_every_place(ground: Ground) -> None:
    """What is denied is sent as it is. What is allowed is a dry run, where there is one, so that nothing changes."""
    await ground.give_everybody_their_role()
    await ground.plant()
    wrong = []
    for who in everybody():
        headers = await headers_of(ground.database_url, who)
        asked = [(method, line) for (method, _), lines in LINES.items() for line in lines]
        changing = [(method, line) for method, line in asked if not line.dry and expected(line, who) == OK]
        still = [wrong_answer(ground, who, *one, headers) for one in asked if one not in changing]
        wrong += await asyncio.gather(*still)
        for method, line in changing:
            wrong.append(await wrong_answer(ground, who, method, line, headers))
            await ground.plant()
    assert not (found := list(filter(None, wrong))), "\n".join(found[:20])


async def wrong_answer(ground: Ground, who: Who, method: str, line: Line, headers: dict[str, str]) -> str | None:
    """What is wrong with the answer to a request; None: nothing is."""
    want = expected(line, who)
    path = f"{line.path}?dry_run=true" if line.dry and want == OK else line.path
    answer = await ground.ask(method, path, line.body, headers)
    got = OK if answer.is_success else answer.status_code
    if got == want and (got != OK or not line.dry or answer.json()["accepted"]):
        return None
    return f"{who.id} {method} {line.path} {line.body}: {want} wanted, {answer.status_code} {answer.text}"
