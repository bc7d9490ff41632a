"""`hourbook nats-config`: the users and permissions for a NATS server of your own."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from shared.nats_access.config import ROUTE, ROUTES, SERVER_NAME, accounts, from_environment
from shared.nats_access.config import cluster as cluster_lines
from shared.nats_access.users import TOGETHER, USERS

SUBSCRIBERS = ("include ./nats-subscribers.conf",)


def nats_config(
    *,
    one_user: Annotated[bool, Parameter(negative=())] = False,
    cluster: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """
    Parameters
    ----------
    one_user
        Add the user `hourbook`, who may do what all services may together: for `hourbook up` with HOURBOOK_NATS_URL.
    cluster
        Add the lines of a server of a cluster. All servers have the same lines; docs/nats.md names the variables.
    """
    print((cluster_text() if cluster else "") + text(one_user), end="")


def cluster_text() -> str:
    """The blocks of a server of a cluster. Its name, the routes and their password are variables of its environment."""
    return cluster_lines(SERVER_NAME, ROUTES, from_environment(ROUTE))


def text(one_user: bool) -> str:
    """The block `accounts`. The passwords are variables of the server's environment."""
    users = (*USERS, TOGETHER) if one_user else USERS
    return accounts(users, from_environment, SUBSCRIBERS)
