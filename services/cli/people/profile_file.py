"""What the commands of `hourbook profile` do with the file of the profiles."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from services.cli.credential import Headers, bearer, read_private
from services.cli.failure import WrongUse
from services.cli.people.ledger import person
from services.cli.people.options import Output
from services.cli.people.screen import Column, Screen
from services.cli.people.times import clock_of
from services.cli.profiles import (
    Config,
    Profile,
    Target,
    checked_name,
    checked_url,
    config_path,
    read_config,
    unknown_profile,
    write_config,
)
from services.cli.requests import accepted, at_target
from services.cli.terminal import printable

COLUMNS = tuple(Column(title) for title in ("profile", "address", "sign-in", "account", "tz", "used"))


class Given(NamedTuple):
    """What the options of `hourbook profile add` say."""

    url: str
    sign_in: bool
    token_file: Path | None
    account: str | None
    tz: str | None
    use: bool


def add_profile(name: str, given: Given, environment: Mapping[str, str]) -> None:
    """Writes the profile, and says who signs in with it. Raises Failure, and then writes nothing."""
    checked_name(name)
    if given.sign_in and given.token_file:
        raise WrongUse("--sign-in and --token-file: give one of them")
    if given.tz:
        clock_of(given.tz)
    url = checked_url(given.url, "--url").rstrip("/")
    token, headers = credential(given)
    said = f" You are {who_am_i(url, headers)}." if headers else ""
    file = str(given.token_file.absolute()) if given.token_file else None
    profile = Profile(url, given.account, given.tz, token, file)
    path = config_path(environment)
    config = read_config(path)
    is_used = given.use or not config.profiles
    write_config(path, Config(name if is_used else config.current, {**config.profiles, name: profile}))
    how = " It is used from now on." if is_used else f" `hourbook profile use {name}` uses it."
    print(printable(f"The profile {name} is in {path}.{said}{how}"))


def credential(given: Given) -> tuple[str | None, Headers]:
    """The token to keep, if there is one, and the headers to try it with. Raises Failure."""
    if given.token_file:
        return None, bearer(read_private(given.token_file), "--token-file")
    if not given.sign_in:
        return None, {}
    if sys.stdin.isatty():
        token = getpass.getpass(f"Token for {given.url} (it is not shown): ").strip()
    else:
        token = sys.stdin.readline().strip()
    return token, bearer(token, "the token")


def who_am_i(url: str, headers: Headers) -> str:
    """Who the ledger says that signs in with this. Raises Failure if it takes it not."""

    async def ask(client: Any) -> Any:
        return accepted(*await client.get("/me", {}))

    me = at_target(Target(url, headers), person(), ask)
    name = me.get("name") or (me.get("token") or {}).get("name")
    return f"{me['id']} ({name})" if name else str(me["id"] or "nobody there: nobody signs in")


def use_profile(name: str, environment: Mapping[str, str]) -> None:
    path = config_path(environment)
    config = read_config(path)
    check_there(name, config)
    write_config(path, msgspec.structs.replace(config, current=name))
    print(f"The profile {name} is used from now on: {config.profiles[name].url}")


def remove_profile(name: str, environment: Mapping[str, str]) -> None:
    path = config_path(environment)
    config = read_config(path)
    check_there(name, config)
    profiles = {one: profile for one, profile in config.profiles.items() if one != name}
    write_config(path, Config(None if config.current == name else config.current, profiles))
    print(f"The profile {name} is removed. If it had a token, `hourbook token revoke` ends that.")


def check_there(name: str, config: Config) -> None:
    if name not in config.profiles:
        raise WrongUse(f"NAME: {unknown_profile(name, config)}")


def show_profiles(output: Output, environment: Mapping[str, str]) -> None:
    """The profiles, and never a token."""
    screen = Screen(output)
    config = read_config(config_path(environment))
    rows = [
        (name, one.url, sign_in_of(one), one.account, one.tz, "yes" if name == config.current else None)
        for name, one in sorted(config.profiles.items())
    ]
    if output == "json":
        names = [column.title for column in COLUMNS]
        screen.json(msgspec.json.encode([dict(zip(names, row, strict=True)) for row in rows]))
    elif rows or output == "csv":
        screen.rows(COLUMNS, rows)
    else:
        screen.say("No profiles. `hourbook profile add NAME --url https://…` makes one.")


def sign_in_of(profile: Profile) -> str | None:
    return "token" if profile.token else profile.token_file
