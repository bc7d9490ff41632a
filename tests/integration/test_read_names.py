"""What a principal may not see is in no byte of any answer: not in a body, not in a header, not in an error."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.integration.test_read_matrix import READS
from tests.support.marked import CLUSTERS, PROJECTS, Marked, marked
from tests.support.signed_in import ADMIN, signed_in

pytestmark = pytest.mark.odd_store
RANGE = "range=2086-01-01,2086-01-05"
MORE = {
    "/available/select": ["grain=hour", "shape=columns", "grain=hour&shape=columns", "template=small-{}"],
    "/available/slots": ["most=small-{}", "template=small-{}&duration=1h", "share=20%25&duration=1h", "most=nope"],
    "/resources/select": ["limit=1", "values=booked", "shape=columns"],
    "/bookings/select": ["limit=1", "values=available", "grain=month"],
    "/accounts/{account}/usage": ["grain=month", "dimensions=cores"],
    "/entitlements": [
        f"account=zz-{pool}-account&at=2086-01-02T12:00:00Z" for pool in ("gaia", "gaia.spark", "gaia.spark2", "beta")
    ],
    "/events": [
        "limit=1",
        "after=5&limit=2",
        "actor=zz-gaia-actor",
        "actor=zz-gaia.spark2-actor",
        "account=zz-beta-account",
        "account=zz-gaia.spark2-account",
        "pool=gaia",
        "pool=gaia.spark2",
        "pool=beta",
        "entity=gaia",
        "entity={booking_gaia}",
        "entity={booking_gaia_spark2}",
        "entity={booking_beta}",
        "type=BookingCreated&limit=1",
        "type=BookingCreated,RoleGranted",
        "since=2020-01-01T00:00:00Z",
    ],
    "/refusals": ["order=newest", "limit=1"],
    "/notices": ["limit=1", "after=2", "type=booking.started"],
    "/pools": ["limit=1", "after=gaia"],
    "/projects": ["limit=1", "after=a"],
    "/conflicts/select": ["tz=Europe/London"],
}
# Documents about Hourbook itself tell of no ledger.
TELLING = [operation for operation, (one, *_) in READS.items() if one.needs not in ("nothing", "public")]
ACCEPTS = ("application/json", "text/csv", "application/x-ndjson")
# The errors that a reader gets repeat the name that was asked for.
POOLS = (*PROJECTS, *CLUSTERS)


def paths(operation: str, pools: Sequence[str] = POOLS) -> Iterator[str]:
    """Questions of one operation, about each pool."""
    if operation.endswith("/stream"):
        return  # see test_read_live
    for pool in pools:
        named, project = pool.replace(".", "_"), pool.partition(".")[0]
        filled = (
            operation.replace("{cluster}", pool)
            .replace("{feed}", f"{pool}.ics" if not operation.startswith("/accounts") else f"zz-{pool}-account.ics")
            .replace("{account}", f"zz-{pool}-account")
            .replace("{booking}", f"{{booking_{named}}}")
            .replace("{series}", f"{{series_{named}}}")
            .replace("{grant}", f"{{grant_{project}}}")
            .replace("{quota}", f"{{grant_{project}}}")
            .replace("{webhook}", f"{{hook_{project}}}")
            .replace("{name}", "BookingCreated.json")
            .replace("{person}", "egi:root")
            .replace("{position}", f"{{at_{named}}}")
        )
        yield from questions(operation, filled, pool)


def questions(operation: str, filled: str, pool: str) -> Iterator[str]:
    """With each set of parameters that matters."""
    kind, project = ("clusterid" if "." in pool else "project"), pool.partition(".")[0]
    yield filled
    yield f"{filled}?project={project}"
    about = f"{kind}={pool}&{RANGE}"
    yield f"{filled}?{RANGE}"
    for more in ("", *MORE.get(operation, ())):
        end = more.replace("{}", f"small-{project}")
        yield f"{filled}?{about}&{end}".rstrip("&")
        yield f"{filled}?project={project}&{end}".rstrip("&")
        yield f"{filled}?{end}".rstrip("?")
    for then in ("as_of=40", "min_position=3", "min_position=999999"):
        yield f"{filled}?{about}&{then}"
        yield f"{filled}?{then}"
        yield f"{filled}?project={project}&{then}"
    yield f"{filled}?{kind}={pool}&from=1&to=40"
    yield f"{filled}?position={{at_{pool.replace('.', '_')}}}"


class Teller:
    """Asks every question, and looks through every byte of the answers."""

    def __init__(self, ground: Marked, headers: dict[str, str]) -> None:
        self.ground, self.headers, self.asked, self.answered = ground, headers, 0, 0

    async def answers(self) -> AsyncIterator[tuple[str, httpx.Response]]:
        document = (await self.ground.client.get("/schema/openapi.json")).json()
        for operation in TELLING:
            given = document["paths"][operation]["get"].get("parameters", ())
            takes = {one["name"] for one in given if one["in"] == "query"}
            for path in dict.fromkeys(paths(operation)):
                if not takes.issuperset(re.findall(r"[?&](\w+)=", path)):
                    continue  # it would be refused for that
                asked = self.ground.path(path)
                for accept in ACCEPTS if self.asked % 3 == 0 else ACCEPTS[:1]:
                    answer = await self.ground.client.get(asked, headers={**self.headers, "Accept": accept})
                    self.asked += 1
                    self.answered += answer.status_code == 200
                    assert answer.status_code != 500, asked
                    yield asked, answer


def assert_absent(pattern: str, asked: str, answer: httpx.Response) -> None:
    found = re.search(pattern, said(asked, answer))
    assert found is None, f"{asked}: {found.string[max(0, found.start() - 80) : found.end() + 80]}"


def said(asked: str, answer: httpx.Response) -> str:
    """Every byte of the answer, without what the question said itself."""
    text = "\n".join([*(f"{name}: {value}" for name, value in answer.headers.items()), answer.text])
    for word in sorted(set(re.findall(r"zz-[\w.-]+|[0-9a-f-]{36}", asked)), key=len, reverse=True):
        text = text.replace(word.removesuffix(".ics"), "")
    return text


@pytest.mark.parametrize("everyone", [False, True])
async def test_a_viewer_sees_no_name_and_no_booking(database_url: str, tmp_path: Path, everyone: bool) -> None:
    async with marked(database_url, tmp_path, "viewer" if everyone else "none") as ground:
        who = "egi:nobody" if everyone else "egi:viewer-gaia"
        teller = Teller(ground, await signed_in(database_url, who))
        names = "|".join(["zz", *map(str, ground.ids.values())])
        async for asked, answer in teller.answers():
            assert_absent(names, asked, answer)
        assert teller.answered > 100


async def test_a_principal_of_another_project_sees_nothing_of_this_one(database_url: str, tmp_path: Path) -> None:
    async with marked(database_url, tmp_path) as ground:
        teller = Teller(ground, await signed_in(database_url, "egi:admin-beta"))
        theirs = [str(one) for name, one in ground.ids.items() if "gaia" in name or name == "hook"]
        names = "|".join(["zz-(gaia|ledger|nowhere)", *theirs])
        async for asked, answer in teller.answers():
            assert_absent("gaia|" + names if answer.status_code == 200 else names, asked, answer)
        assert teller.answered > 100


async def test_the_reader_of_a_cluster_sees_nothing_beside_it_or_above(database_url: str, tmp_path: Path) -> None:
    async with marked(database_url, tmp_path) as ground:
        teller = Teller(ground, await signed_in(database_url, "egi:reader-gaia.spark"))
        inside = ("gaia.spark", "gaia.spark.deep")
        theirs = [str(one) for name, one in ground.ids.items() if name.rpartition(" ")[2] not in inside]
        names = "|".join([r"zz-(gaia-|gaia\.spark2|beta|ledger|nowhere)", *theirs])
        async for asked, answer in teller.answers():
            assert_absent(r"gaia\.spark2|" + names if answer.status_code == 200 else names, asked, answer)
        assert teller.answered > 100


async def test_what_is_hidden_is_answered_like_what_is_not_there(database_url: str, tmp_path: Path) -> None:
    """The hidden names and ids, and others of the same length that do not exist: the same status, headers and body."""
    async with marked(database_url, tmp_path) as ground:
        headers = await signed_in(database_url, "egi:admin-beta")
        absent = {str(one): f"{str(one)[:-12]}{'0' * 12}" for one in ground.ids.values()}
        for operation in TELLING:
            for path in dict.fromkeys(paths(operation, ("gaia", "gaia.spark"))):
                if "beta" in path:
                    continue
                hidden = ground.path(path)
                other = hidden.replace("gaia", "gaix").replace("position=", "position=9")
                if operation == "/events/{position}":
                    other = f"/events/9{hidden.removeprefix('/events/')}"
                for one, instead in absent.items():
                    other = other.replace(one, instead)
                if hidden == other:
                    continue
                first = await ground.client.get(hidden, headers=headers)
                second = await ground.client.get(other, headers=headers)
                assert first.status_code == second.status_code, hidden
                same = told(first, hidden) == told(second, other)
                assert same or first.status_code == 200, (hidden, first.text[:300], second.text[:300])


def told(answer: httpx.Response, asked: str) -> tuple[dict[str, str], str]:
    """The headers and the body, in which the names that were asked for are replaced."""
    text = answer.text.replace("gaix", "gaia")
    for word in re.findall(r"[0-9a-f-]{36}|(?<=/events/)\d+|(?<=position=)\d+", asked):
        text = text.replace(word, "*")
    return {name: value for name, value in answer.headers.items() if name != "content-length"}, text


async def test_the_admin_of_the_ledger_sees_all_that_was_looked_for(database_url: str, tmp_path: Path) -> None:
    """The marks are really there."""
    async with marked(database_url, tmp_path) as ground:
        text = ""
        async for _, answer in Teller(ground, await signed_in(database_url, ADMIN)).answers():
            text += answer.text
        for pool in POOLS:
            for what in ("account", "actor", "reason", "reader"):
                assert f"zz-{pool}-{what}" in text
        for name, one in ground.ids.items():
            assert str(one) in text, name
