"""What is sent when not all goes well, to a server that answers what it is told to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from services.cli.client import Client, NotSignedIn
from services.cli.failure import Failure
from services.cli.openstack.apply import ReportLine, apply_step, apply_steps, read_current
from services.cli.openstack.desired import Unmapped
from services.cli.openstack.steps import Call, Step

CREATE, WITHDRAW = Call("/novaquota/create", {"cores": 2}, "k1"), Call("/resources/g0/withdraw", {}, "k2")
GUARD = Call("/clusters/create", {"cores": 1})
FULL = (409, {"code": "capacity_exceeded", "detail": "it is full"})


class Scripted:
    """Answers each path with what stands for it, one after the other, and the last of them from then on."""

    def __init__(self) -> None:
        self.script: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        self.sent: list[str] = []
        self.keys: list[str | None] = []
        self.tokens: list[str | None] = []
        self.refused_before: set[str] = set()

    async def answer(self, request: web.Request) -> web.Response:
        self.sent.append(request.path_qs)
        self.keys.append(request.headers.get("Idempotency-Key"))
        self.tokens.append(request.headers.get("X-Auth-Token"))
        asked = request.path_qs if request.method == "POST" else request.path
        answers = self.script.get(asked, [(201, {"id": "g1", "position": 1})])
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        headers = {"Idempotent-Replayed": "true"} if self.keys[-1] in self.refused_before else None
        return web.json_response(body, status=status, headers=headers)


@pytest.fixture
def server() -> Scripted:
    return Scripted()


@asynccontextmanager
async def listening(server: Scripted) -> AsyncIterator[str]:
    """The server's address."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


@pytest.fixture
async def client(server: Scripted) -> AsyncIterator[Client]:
    async with listening(server) as url, Client(url, "tests", try_again_s=0.01) as client:
        yield client


async def test_a_command_is_sent_until_its_outcome_is_known_with_one_key(server: Scripted, client: Client) -> None:
    server.script[CREATE.path] = [(503, {}), (502, {}), (201, {"id": "g1"})]
    row = await apply_step(client, Step("created", "quota", "2 cores", (CREATE,)), dry_run=False)
    assert row.outcome == "created"
    assert (server.sent, server.keys) == ([CREATE.path] * 3, ["k1"] * 3)


async def test_what_was_refused_of_an_earlier_run_is_asked_anew(server: Scripted, client: Client) -> None:
    server.script[CREATE.path] = [FULL, (201, {"id": "g1"})]
    server.refused_before = {"k1"}
    assert (await apply_step(client, Step("created", "quota", "", (CREATE,)), dry_run=False)).outcome == "created"
    assert server.keys[0] == "k1"
    assert str(server.keys[1]).startswith("k1:")
    server.script[CREATE.path], server.keys, server.refused_before = [FULL], [], set()
    assert (await apply_step(client, Step("created", "quota", "", (CREATE,)), dry_run=False)).outcome == "refused"
    assert server.keys == ["k1"], "it was refused now"


async def test_what_another_has_sent_meanwhile_is_there(server: Scripted, client: Client) -> None:
    server.script[CREATE.path] = [(200, {"id": "g1"})]
    assert (await apply_step(client, Step("created", "quota", "", (CREATE,)), dry_run=False)).outcome == "already there"


async def test_a_change_that_is_refused_in_the_middle_is_undone(server: Scripted, client: Client) -> None:
    server.script[WITHDRAW.path] = [FULL]
    row = await apply_step(client, Step("changed", "quota", "", (CREATE, WITHDRAW)), dry_run=False)
    assert row.outcome == "refused"
    assert "it is full" in row.how
    assert server.sent == [CREATE.path, WITHDRAW.path, "/resources/g1/withdraw"]


async def test_nothing_is_sent_where_a_guard_is_not_accepted(server: Scripted, client: Client) -> None:
    guarded = Step("changed", "quota", "", (CREATE, WITHDRAW), (GUARD,))
    for answer in ((200, {"accepted": False, "problem": {"detail": "it is full"}}), FULL):
        server.script["/clusters/create?dry_run=true"] = [answer]
        row = await apply_step(client, guarded, dry_run=False)
        assert (row.outcome, "it is full" in row.how) == ("refused", True)
    assert server.sent == ["/clusters/create?dry_run=true"] * 2
    server.script["/clusters/create?dry_run=true"] = [(200, {"accepted": True})]
    assert (await apply_step(client, guarded, dry_run=False)).outcome == "changed"


async def test_where_there_is_no_room_the_other_call_is_made_and_else_the_hint_is_said(
    server: Scripted, client: Client
) -> None:
    later = Call("/magcluster/create", {"startdate": "2026-03-01T08:00:00Z"}, "k4")
    step = Step(
        "created", "cluster", "4 nodes", (Call("/magcluster/create", {}, "k3"),), fallback=later, hint="try this"
    )
    server.script["/magcluster/create"] = [FULL, (201, {"id": "c"})]
    row = await apply_step(client, step, dry_run=False)
    assert (row.outcome, row.how) == ("created", "4 nodes; there is enough capacity only from 2026-03-01T08:00:00Z on")
    server.script["/magcluster/create"] = [FULL]
    assert (await apply_step(client, step, dry_run=False)).how == "it is full (try this)"
    assert server.keys == ["k3", "k4"] * 2


async def test_a_dry_run_and_what_is_there_send_nothing(server: Scripted, client: Client) -> None:
    assert (await apply_step(client, Step("created", "quota", "", (CREATE,)), dry_run=True)).outcome == "created"
    assert (await apply_step(client, Step("there", "quota", ""), dry_run=False)).outcome == "already there"
    assert server.sent == []


async def test_a_project_that_cannot_be_created_is_told(server: Scripted, client: Client) -> None:
    server.script["/projects/create"] = [(400, {"detail": "id: not a slug"})]
    server.script["/events"] = [(404, {"detail": "no such project"})]
    with pytest.raises(Failure, match="--create-project"):
        await read_current(client, "Sky")
    with pytest.raises(Failure, match="not a slug"):
        await read_current(client, "Sky", create=True)
    server.script["/events"] = [(500, {"detail": "it broke"})]
    with pytest.raises(Failure, match="answers 500"):
        await read_current(client, "Sky", create=True)


async def test_what_is_broken_off_is_told_after_what_was_done(server: Scripted, client: Client) -> None:
    server.script[WITHDRAW.path] = [(302, {})]
    steps = [Step("created", "quota", "2 cores", (CREATE,)), Step("changed", "lease", "4 cores", (CREATE, WITHDRAW))]
    report: list[ReportLine] = []
    with pytest.raises(Failure, match="sends requests on"):
        await apply_steps(client, [*steps, Unmapped("cluster", "it is gone")], dry_run=False, report=report)
    assert [(row.outcome, row.what) for row in report] == [("created", "quota"), ("refused", "lease")]
    assert report[1].how.startswith("broken off, perhaps in the middle: 4 cores.")


async def test_a_credential_that_is_not_taken_any_more_is_renewed_once(server: Scripted) -> None:
    renewed: list[str] = []

    def renew() -> dict[str, str]:
        renewed.append("again")
        return {"X-Auth-Token": f"token-{len(renewed) + 1}"}

    expired, done = (401, {"detail": "expired"}), (201, {"id": "g1"})
    first = {"X-Auth-Token": "token-1"}
    async with listening(server) as url, Client(url, "tests", credential=first, renew=renew) as client:
        server.script[CREATE.path] = [expired, done]
        assert (await client.post(CREATE.path, CREATE.body, CREATE.key))[0] == 201
        assert (server.tokens, server.keys) == (["token-1", "token-2"], ["k1", "k1"])
        server.script[CREATE.path] = [expired]
        with pytest.raises(NotSignedIn):
            await client.post(CREATE.path, CREATE.body, CREATE.key)
        assert (renewed, server.tokens[2:]) == (["again"] * 2, ["token-2", "token-3"])
