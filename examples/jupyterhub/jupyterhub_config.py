"""JupyterHub asks Hourbook what a user has booked: no server without a booking, and no larger than it.

jupyterhub -f examples/jupyterhub/jupyterhub_config.py
"""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from tornado import web  # type: ignore[import-not-found]

URL = os.environ.get("HOURBOOK_URL", "http://127.0.0.1:8080")
POOL = os.environ.get("HOURBOOK_POOL", "hub")  # the project or cluster from which people book their servers
TOKEN = os.environ.get("HOURBOOK_TOKEN")  # of the role `reader` on the pool, where people sign in
HEADERS = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
SMALLEST = {"cores": 1, "memory": 1024}  # what a message about free hours looks for
MIB = 1 << 20


async def asked(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    """Reads from Hourbook. Without an answer no server starts: it may not be booked."""
    try:
        answer = await client.get(path, params=query)
        return answer.raise_for_status().json()
    except httpx.HTTPError as error:
        raise web.HTTPError(503, "Hourbook does not answer, so no server starts; try again in a minute") from error


def held_of(entitlements: Any) -> dict[str, Any] | None:
    """What the account holds of POOL now; None: nothing that a server could run with."""
    found = (one for one in entitlements["entitlements"] if one["pool"] == POOL)
    return next((one for one in found if one["cores"] and one["memory"]), None)


async def earliest(client: httpx.AsyncClient) -> str:
    """A sentence about when a small server could be booked."""
    where = {"clusterid": POOL} if "." in POOL else {"project": POOL}
    slots = (await asked(client, "/available/slots", duration="1h", limit=1, **SMALLEST, **where))["slots"]
    return f"The earliest free hour begins at {slots[0]['start']}." if slots else "No hour of the next year is free."


async def size_of_the_booking(spawner: Any) -> None:
    """Before a server starts: sets its limits to what its user holds now, and tells it until when."""
    account = spawner.user.name
    async with httpx.AsyncClient(base_url=URL, headers=HEADERS, timeout=10) as client:
        held = held_of(await asked(client, "/entitlements", account=account))
        if held is None:
            said = f"{account} has no booking in {POOL} now. {await earliest(client)} Book it at {URL} and start again."
            refusal = web.HTTPError(403, said)
            refusal.jupyterhub_message = said  # the page of the hub shows it, too
            raise refusal
    spawner.cpu_limit = held["cores"]
    spawner.mem_limit = held["memory"] * MIB
    until = datetime.fromisoformat(held["until"])
    spawner.environment = {**spawner.environment, "HOURBOOK_UNTIL": held["until"]}
    spawner.log.info("%s holds %s cores until %s", account, held["cores"], until)


c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.Spawner.pre_spawn_hook = size_of_the_booking

# A service of the hub stops the servers whose users hold nothing any more.
c.JupyterHub.load_roles = [
    {"name": "end-servers", "scopes": ["list:users", "read:servers", "delete:servers"], "services": ["end-servers"]}
]
c.JupyterHub.services = [
    {
        "name": "end-servers",
        "command": [sys.executable, str(Path(__file__).with_name("end_servers.py")), "--pool", POOL],
        "environment": {"HOURBOOK_URL": URL, "HOURBOOK_TOKEN": TOKEN or ""},
    }
]
