"""Stops the servers of a JupyterHub whose users hold nothing any more. It runs as a service of the hub.

JUPYTERHUB_API_URL=… JUPYTERHUB_API_TOKEN=… python examples/jupyterhub/end_servers.py --pool hub --once
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from urllib.parse import quote

import httpx

TOKEN = os.environ.get("HOURBOOK_TOKEN")
HEADERS = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}


def running(hub: httpx.Client) -> Iterator[tuple[str, str]]:
    """Each running server: its user and its name, which is empty for a user's first one."""
    offset, size = 0, 100
    while True:
        users = hub.get("users", params={"state": "active", "offset": offset, "limit": size}).raise_for_status().json()
        for user in users:
            yield from ((user["name"], name) for name in user["servers"])
        if len(users) < size:
            return
        offset += size


def holds(hourbook: httpx.Client, pool: str, account: str) -> bool:
    """Whether the account holds something of the pool now."""
    held = hourbook.get("/entitlements", params={"account": account}).raise_for_status().json()["entitlements"]
    return any(one["pool"] == pool and one["cores"] for one in held)


def end_servers(hub: httpx.Client, hourbook: httpx.Client, pool: str) -> None:
    """Stops what nobody has booked. While Hourbook does not answer, everything goes on. A server that cannot be stopped
    does not keep the others running."""
    for user, name in list(running(hub)):
        try:
            if not holds(hourbook, pool, user):
                hub.delete(path_of(user, name)).raise_for_status()
                print(f"{user}: nothing is booked any more, so the server {name!r} stops", flush=True)
        except httpx.HTTPStatusError as error:
            print(f"{user}: the server {name!r} goes on: {error}", file=sys.stderr, flush=True)


def path_of(user: str, name: str) -> str:
    """The path of a server. Users choose the names, so no character of them is part of the address."""
    user, name = (quote(text, safe="").replace(".", "%2E") for text in (user, name))
    return f"users/{user}/servers/{name}" if name else f"users/{user}/server"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", default="hub", help="the project or cluster from which people book their servers")
    parser.add_argument("--every", type=float, default=60, help="seconds between two looks")
    parser.add_argument("--once", action="store_true", help="look once, and end")
    options = parser.parse_args()
    url = os.environ.get("HOURBOOK_URL", "http://127.0.0.1:8080")
    of_hub = {"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}"}
    with (
        httpx.Client(base_url=os.environ["JUPYTERHUB_API_URL"], headers=of_hub, timeout=30) as hub,
        httpx.Client(base_url=url, headers=HEADERS, timeout=30) as hourbook,
    ):
        while True:
            try:
                end_servers(hub, hourbook, options.pool)
            except httpx.HTTPError as error:
                print(f"again in {options.every:g} s: {error}", file=sys.stderr, flush=True)
            if options.once:
                return
            time.sleep(options.every)


if __name__ == "__main__":
    main()
