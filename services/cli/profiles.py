"""Profiles: which ledgers a person uses, each with its address and the way to sign in. They are in `config.toml`.

Only the owner may read the file. A token is sent to the address of its own profile, and to no other.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from services.cli.credential import Headers, bearer, credential_headers, read_private
from services.cli.failure import Failure, WrongUse
from services.cli.up.private_files import make_private_folder, open_private

URL, PROFILE = "HOURBOOK_URL", "HOURBOOK_PROFILE"
NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


class Profile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A ledger, and who asks. `account`: who books; `tz`: the zone of times. `token`, or the file that has it."""

    url: str
    account: str | None = None
    tz: str | None = None
    token: str | None = None
    token_file: str | None = None


class Config(msgspec.Struct, frozen=True, omit_defaults=True):
    """The file. `current` is the profile that is used when none is named."""

    current: str | None = None
    profiles: dict[str, Profile] = {}


class Target(NamedTuple):
    """Where requests go, what signs them, and the defaults of the profile. `url` None: the running `hourbook up`."""

    url: str | None
    headers: Headers
    account: str | None = None
    tz: str | None = None


def config_path(environment: Mapping[str, str]) -> Path:
    """`$XDG_CONFIG_HOME/hourbook/config.toml`, in ~/.config by default."""
    home = environment.get("XDG_CONFIG_HOME") or ""
    folder = Path(home) if os.path.isabs(home) else Path.home() / ".config"
    return folder / "hourbook" / "config.toml"


def read_config(path: Path) -> Config:
    """The profiles; none if there is no file. Raises Failure, also if others may read the file."""
    try:
        with path.open("rb") as file:
            mode, content = stat.S_IMODE(os.fstat(file.fileno()).st_mode), file.read()
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from None
    if mode & 0o077:
        raise Failure(f"other users may read {path}, and it may have a token: chmod 600 {path}")
    try:
        return msgspec.toml.decode(content, type=Config)
    except (msgspec.DecodeError, ValueError) as error:
        raise Failure(f"{path} is not what `hourbook profile add` writes: {error}") from None


def write_config(path: Path, config: Config) -> None:
    """Replaces the file at once: a reader sees the old file or the new one. Raises Failure."""
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        make_private_folder(path.parent)
        new = path.with_name(f"{path.name}.{os.getpid()}.new")
        with open_private(new, "wb") as file:
            file.write(msgspec.toml.encode(config))
        new.replace(path)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from None


def target_of(url: str | None, profile: str | None, environment: Mapping[str, str]) -> Target:
    """Where the requests of a command go: `--url`, then `--profile`, then HOURBOOK_URL, then HOURBOOK_PROFILE, then the
    current profile. The credential of the environment wins over that of the profile. Raises Failure."""
    if url is not None and profile is not None:
        raise WrongUse("--url and --profile: give one of them; a profile has an address")
    address = url or (None if profile else environment.get(URL))
    if address:
        return Target(checked_url(address, "--url" if url else URL), credential_headers(environment))
    name, found = chosen_profile(profile, environment)
    if found is None:
        return Target(None, credential_headers(environment))
    given = credential_headers(environment)
    return Target(found.url, given or _headers_of(name, found), found.account, found.tz)


def chosen_profile(named: str | None, environment: Mapping[str, str]) -> tuple[str, Profile | None]:
    """The profile of `--profile` or HOURBOOK_PROFILE, or the current one. Raises WrongUse if it is not there."""
    option = "--profile" if named else PROFILE
    config = read_config(config_path(environment))
    name = named or environment.get(PROFILE) or config.current
    if not name:
        return "", None
    if name not in config.profiles:
        raise WrongUse(f"{option}: {unknown_profile(name, config)}")
    return name, config.profiles[name]


def unknown_profile(name: str, config: Config) -> str:
    """What to say of a profile that is not there."""
    there = ", ".join(sorted(config.profiles)) or "none: `hourbook profile add` makes one"
    return f"there is no profile {name!r}; there are {there}"


def checked_name(name: str) -> str:
    """The name of a profile. Raises WrongUse."""
    if not name or not NAME_LETTERS.issuperset(name):
        raise WrongUse(f"NAME: {name!r} has other characters than letters, digits, dashes, dots and underscores")
    return name


def checked_url(url: str, option: str) -> str:
    """The address. Raises WrongUse unless it begins with http:// or https://."""
    if not url.startswith(("http://", "https://")):
        raise WrongUse(f"{option}: {url!r} is no address: write it as https://hourbook.example.org")
    return url


def _headers_of(name: str, profile: Profile) -> Headers:
    if profile.token:
        return bearer(profile.token, f"the token of the profile {name}")
    if profile.token_file:
        return bearer(read_private(Path(profile.token_file)), f"the token file of the profile {name}")
    return {}
