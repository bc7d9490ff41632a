"""What may not be seen is answered like what is not there: the whole answers of both are compared, byte for byte."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shared.identity.roles import Limit
from tests.integration.test_command_matrix import LINES
from tests.support.ground import HOOK, Ground, grounded
from tests.support.matrix import OK, PUBLIC, SIGNED_IN, Line
from tests.support.signed_in import signed_in, with_token

# Hidden names, and names of the same length that nothing has.
ABSENT = {"gaia": "nope", "spark": "sparx", "deep": "deeq"}
NAMES = re.compile(r"\bgaia\b|\bspark\b|\bdeep\b")
OTHER_HEADERS = {"date"}


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: str


@pytest.fixture
async def ground(database_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    async with grounded(database_url, tmp_path) as ground:
        await ground.plant()
        yield ground


def missing(ids: dict[str, str]) -> dict[str, str]:
    """For each id that was made, one that nothing has."""
    return {name: absent_id(made) for name, made in ids.items()}


def absent_id(made: str) -> str:
    if re.fullmatch(r"[0-9a-f-]{36}", made):
        return made[:-4] + f"{int(made[-4:], 16) ^ 0xFFFF:04x}"
    return NAMES.sub(lambda name: ABSENT[name[0]], made)


def without_names(value: Any) -> Any:
    """The body with names that nothing has."""
    if isinstance(value, dict):
        return {field: without_names(one) for field, one in value.items()}
    if isinstance(value, list):
        return [without_names(one) for one in value]
    return NAMES.sub(lambda name: ABSENT[name[0]], value) if isinstance(value, str) else value


def variants(line: Line) -> Iterator[tuple[str, Any, dict[str, str]]]:
    """The request: as it is; as a dry run; twice with a key, and a third time with the key and another body; and with
    bodies that are wrong."""
    body = line.body
    yield line.path, body, {}
    if line.dry:
        yield f"{line.path}?dry_run=true", body, {}
        yield f"{line.path}?dry_run=maybe", body, {}
    keyed = {"Idempotency-Key": line.path}
    yield line.path, body, keyed
    yield line.path, body, keyed
    if body is not None:
        yield line.path, body | {"reason": "another"}, keyed
        yield line.path, body | {"cores": -1, "more": 1}, keyed
        yield line.path, body | {"startdate": "2001-01-01", "enddate": "2001-01-01"}, {}
        yield line.path, body | {"template": "none", "count": 3}, {}


async def answer(ground: Ground, ids: dict[str, str], method: str, path: str, body: Any, headers: Any) -> Answer:
    got = await ground.client.request(method, path.format_map(ids), json=body, headers=headers)
    kept = [(name, value) for name, value in got.headers.items() if name not in OTHER_HEADERS]
    return Answer(got.status_code, kept, got.text)


def as_if_absent(got: Answer, ids: dict[str, str], absent: dict[str, str]) -> Answer:
    """The answer for what is hidden, with the names of what is not there."""
    text = got.body
    for name, made in ids.items():
        text = text.replace(made, absent[name]) if "-" in made else text
    return got._replace(body=NAMES.sub(lambda name: ABSENT[name[0]], text))


def own(more: dict[str, str], mark: str) -> dict[str, str]:
    """The headers with a key of its own, so that the requests that are compared do not share it."""
    return {name: value + mark for name, value in more.items()}


async def told_apart(ground: Ground, headers: dict[str, str]) -> list[str]:
    """Each request by which somebody with these headers can tell what is hidden from what is not there."""
    absent, told = missing(ground.ids), []
    for (method, _), lines in LINES.items():
        for line in lines:
            if line.needs in (PUBLIC, SIGNED_IN) or line.path == "/projects/create" or (line.body or {}).get("url"):
                continue
            for path, body, more in variants(line):
                hidden = await answer(ground, ground.ids, method, path, body, headers | own(more, "1"))
                asked = NAMES.sub(lambda name: ABSENT[name[0]], path), without_names(body)
                nothing = await answer(ground, absent, method, *asked, headers | own(more, "2"))
                assert hidden.status >= 400, (path, hidden)
                if as_if_absent(hidden, ground.ids, absent) != nothing:
                    told.append(f"{method} {path} {body} {more}\n  {hidden}\n  {nothing}")
    return told


async def test_somebody_without_any_role_cannot_tell_what_is_hidden(ground: Ground) -> None:
    eve = await signed_in(ground.database_url, "egi:eve")
    told = await told_apart(ground, eve)
    assert not told, "\n".join(told[:5])
    for hook in ({"url": HOOK}, {"url": "https://elsewhere.example/"}, {"url": HOOK, "after": 10**9}):
        hidden, nothing = [
            await answer(ground, {}, "POST", "/webhooks", {"project": project, **hook}, eve)
            for project in ("gaia", "nope")
        ]
        assert as_if_absent(hidden, {}, {}) == nothing
        assert hidden.status == 404


async def test_neither_can_a_token_with_narrow_limits(ground: Ground) -> None:
    narrow = await with_token(ground.database_url, Limit("admin", "beta"), maker="egi:root")
    operators = await with_token(ground.database_url, Limit("admin", "beta.spark"))
    for headers in (narrow, operators):
        told = await told_apart(ground, headers)
        assert not told, "\n".join(told[:5])


async def test_a_role_inside_a_project_does_not_tell_what_else_is_in_it(ground: Ground) -> None:
    """The project's own name is no secret for them: their cluster's id begins with it."""
    await ground.give("gaia.spark2", "admin", "egi:ada")
    ada = await signed_in(ground.database_url, "egi:ada")
    beside, nothing = "gaia.spark", "gaia.sparx"
    booking = {"account": "team", "cores": 1, "startdate": "2086-01-01", "enddate": "2086-01-01"}
    for path, body in (
        ("/bookings/create", {"clusterid": "{}", **booking}),
        ("/clusters/create", {"parent": "{}", "cores": 1, "startdate": "2086-01-01", "enddate": "2086-01-01"}),
        ("/clusters/{}.deep/resize", {"cores": 1}),
        ("/magcluster/{}.m/resizes/{wish}/apply", {}),
        ("/roles/grant", {"pool": "{}", "role": "viewer", "member": "egi:eve"}),
        ("/roles/revoke", {"pool": "{}", "role": "viewer", "member": "egi:eve"}),
    ):
        for query in ("", "?dry_run=true"):
            both = []
            for name in (beside, nothing):
                filled = {field: name if value == "{}" else value for field, value in body.items()}
                url = path.replace("{}", name).replace("{wish}", ground.ids["wish"]) + query
                got = await answer(ground, {}, "POST", url, filled, ada | {"Idempotency-Key": url})
                both.append(got._replace(body=got.body.replace(beside, nothing)))
            assert both[0] == both[1], path
            assert both[0].status == 404, both[0]


async def test_what_is_denied_and_what_is_not_there_leave_the_key_free(ground: Ground) -> None:
    ada = await signed_in(ground.database_url, "egi:ada") | {"Idempotency-Key": "k"}
    cancel = f"/bookings/{ground.ids['booking']}/cancel"
    assert (await ground.client.post(cancel, json={}, headers=ada)).status_code == 404
    await ground.give("gaia", "manager", "egi:ada")
    done = await ground.client.post(cancel, json={}, headers=ada)
    assert (done.status_code, done.headers.get("Idempotent-Replayed")) == (201, None)
    again = await ground.client.post(cancel, json={}, headers=ada)
    assert (again.status_code, again.headers["Idempotent-Replayed"], again.content) == (OK, "true", done.content)
