"""The options that the commands for people have in common. It imports little, so that `--help` is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

Output = Literal["table", "json", "csv"]
Pool = Annotated[str, Parameter(help="The project or the cluster, such as gaia or gaia.spark.")]
SomePool = Annotated[
    str | None, Parameter(help="The project or the cluster, such as gaia or gaia.spark. Default: all projects.")
]
Account = Annotated[
    str | None,
    Parameter(help="The account that books. Default: the profile's, then who has signed in, or your name here."),
]
Key = Annotated[
    str | None, Parameter(help="The Idempotency-Key of an earlier try, so that it is done once. Default: a new one.")
]
Yes = Annotated[
    bool, Parameter(name=["--yes", "-y"], negative=(), help="Do not ask. What would happen is shown all the same.")
]
DryRun = Annotated[bool, Parameter(negative=(), help="Show what would happen, and change nothing.")]
Reason = Annotated[str | None, Parameter(help="The reason. The history keeps it.")]
From = Annotated[str | None, Parameter(name=["--from"], help='When it begins, such as "tomorrow 9:00" or 2030-06-03.')]


@Parameter(name="*")
@dataclass(frozen=True)
class Ask:
    """Whom to ask, and how to show the answer."""

    output: Annotated[
        Output, Parameter(name=["--output", "-o"], help="A table for people, the server's JSON, or CSV.")
    ] = "table"
    tz: Annotated[
        str | None,
        Parameter(help="The zone of times and days, such as Europe/Madrid. Default: the profile's, or this machine's."),
    ] = None
    profile: Annotated[
        str | None, Parameter(help="The profile to use. Default: HOURBOOK_PROFILE, or the current one.")
    ] = None
    url: Annotated[
        str | None,
        Parameter(
            help="The address of Hourbook. Default: HOURBOOK_URL, the profile's, or that of the running `hourbook up`."
        ),
    ] = None


@Parameter(name="*")
@dataclass(frozen=True)
class Amount:
    """What a booking takes. One of: counts, a template, a share."""

    cores: Annotated[int | None, Parameter(help="Number of CPU cores.")] = None
    memory: Annotated[str | None, Parameter(help="Memory in MiB, or with a unit: 64G is 65536.")] = None
    servers: Annotated[int | None, Parameter(help="Number of servers.")] = None
    tempdisc: Annotated[int | None, Parameter(help="Temporary disc in GiB.")] = None
    userdisc: Annotated[int | None, Parameter(help="User disc in GiB.")] = None
    datadisc: Annotated[int | None, Parameter(help="Data disc in GiB.")] = None
    template: Annotated[str | None, Parameter(help="A template of the project, such as small.")] = None
    count: Annotated[int | None, Parameter(help="How many times the template. Default: once.")] = None
    share: Annotated[str | None, Parameter(help="A share of the cluster's size, such as 20%.")] = None


ASK, AMOUNT = Ask(), Amount()
