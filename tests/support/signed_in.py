"""Principals for tests: an auth file, people with sessions, tokens; written straight into the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import msgspec

from shared.identity.credentials import COOKIE
from shared.identity.roles import Limit
from shared.identity.secrets import SESSION, TOKEN, hash_of, new_secret
from tests.support.backends import connected

ADMIN = "egi:root"


def auth_file(
    directory: Path, *, everyone: str = "none", ledger: Mapping[str, Sequence[str]] | None = None, more: str = ""
) -> str:
    """The path of an auth file in which `egi:root` is the admin of the ledger. `ledger` has the members of a role."""
    bindings = {"admin": [ADMIN]} if ledger is None else ledger
    text = f'everyone = "{everyone}"\n' + "".join(
        f'[[ledger]]\nrole = "{role}"\nmembers = {msgspec.json.encode(list(members)).decode()}\n'
        for role, members in bindings.items()
    )
    if "[oidc.egi]" not in more:  # the people of the tests come from there; nobody asks it
        more += '\n[oidc.egi]\nissuer = "https://egi.invalid"\naudience = "hourbook"\n'
    path = directory / "auth.toml"
    path.write_text(text + more)
    return str(path)


async def signed_in(
    database_url: str, person: str, groups: Sequence[str] = (), name: str | None = None
) -> dict[str, str]:
    """The headers of somebody who has signed in on the page. `groups` are as bindings have them: `group:egi:…`."""
    secret = new_secret(SESSION)
    async with connected(database_url) as connection:
        await connection.execute(
            "INSERT INTO person (id, name, groups) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET groups = $3",
            person,
            name,
            list(groups),
        )
        await connection.execute(
            "INSERT INTO session (hash, person, auth, groups, expires_at) VALUES ($1, $2, 'oidc', $3, now() + $4)",
            hash_of(secret),
            person,
            list(groups),
            timedelta(hours=1),
        )
    return {"Cookie": f"{COOKIE}={secret}"}


async def with_token(
    database_url: str, *limits: Limit, maker: str | None = None, lasts: timedelta = timedelta(hours=1)
) -> dict[str, str]:
    """The headers of a program with a token. Without a `maker`, it is one of the operator's."""
    secret = new_secret(TOKEN)
    async with connected(database_url) as connection:
        await connection.execute(
            "INSERT INTO token (id, hash, name, maker, limits, expires_at) VALUES ($1, $2, 'test', $3, $4, now() + $5)",
            uuid4(),
            hash_of(secret),
            maker,
            msgspec.json.encode(limits).decode(),
            lasts,
        )
    return {"Authorization": f"Bearer {secret}"}
