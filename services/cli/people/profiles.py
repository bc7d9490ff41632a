"""`hourbook profile`: which ledgers there are, and how to sign in to each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from services.cli.people.options import Output

Name = Annotated[str, Parameter(help="The name of the profile: letters, digits, dashes.")]


def add(
    name: Name,
    /,
    *,
    url: Annotated[str, Parameter(help="The address of Hourbook, such as https://hourbook.example.org.")],
    sign_in: Annotated[
        bool,
        Parameter(negative=(), show_default=False, help="Ask for a token, without showing it; or read it from a pipe."),
    ] = False,
    token_file: Annotated[Path | None, Parameter(help="The file that has the token. It is read each time.")] = None,
    account: Annotated[str | None, Parameter(help="The account that books, when no other is named.")] = None,
    tz: Annotated[
        str | None, Parameter(help="The zone of times, such as Europe/Madrid. Default: this machine's.")
    ] = None,
    use: Annotated[bool, Parameter(negative=(), show_default=False, help="Use it from now on.")] = False,
) -> None:
    from services.cli.people.profile_file import Given, add_profile

    add_profile(name, Given(url, sign_in, token_file, account, tz, use), os.environ)


def use(name: Name, /) -> None:
    from services.cli.people.profile_file import use_profile

    use_profile(name, os.environ)


def list_(
    *, output: Annotated[Output, Parameter(name=["--output", "-o"], help="A table, JSON, or CSV.")] = "table"
) -> None:
    from services.cli.people.profile_file import show_profiles

    show_profiles(output, os.environ)


def remove(name: Name, /) -> None:
    from services.cli.people.profile_file import remove_profile

    remove_profile(name, os.environ)
