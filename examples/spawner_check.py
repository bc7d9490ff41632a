"""What a spawner (JupyterHub's, for example) asks before it starts a server: may this user have so much until then?

python examples/spawner_check.py gaia.hub ada --hours 4 --cores 8 --memory 16384 --url http://127.0.0.1:8080
"""

import argparse
import asyncio
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

# Where people sign in, a program sends its token.
TOKEN = os.environ.get("HOURBOOK_TOKEN")
HEADERS = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}


@dataclass(frozen=True)
class Verdict:
    """`reason` is for the user. `nearest` is the next period of the same length that fits, if there is one."""

    allowed: bool
    reason: str
    nearest: tuple[str, str] | None = None
    booking: str | None = None


def whole_hours(now: datetime, hours: int) -> tuple[datetime, datetime]:
    """The running hour and those after it, until `hours` hours from `now` are covered. Hourbook books whole hours."""
    start = now.replace(minute=0, second=0, microsecond=0)
    return start, start + timedelta(hours=hours + (now > start))


def booking_of(pool: str, account: str, hours: int, counts: dict[str, int], now: datetime) -> dict[str, Any]:
    """The body of the command that would book `counts` of the pool from `now` on."""
    start, end = whole_hours(now, hours)
    where = {"clusterid": pool} if "." in pool else {"project": pool}
    return {**where, **counts, "account": account, "startdate": start.isoformat(), "enddate": end.isoformat()}


async def check(client: httpx.AsyncClient, body: dict[str, Any]) -> Verdict:
    """Asks for the decision without carrying it out. Raises httpx.HTTPError where there is no answer.

    The dry run knows what a calendar does not show: the account's limits, and whether the account is open. It is no
    promise: somebody else may book a moment later. A spawner that must be sure calls `book`.
    """
    answer = await client.post("/bookings/create", params={"dry_run": "true"}, json=body)
    said = answer.raise_for_status().json()
    nearest = said["nearest"] and (said["nearest"]["start"], said["nearest"]["end"])
    if not said["accepted"]:
        return Verdict(False, said["problem"]["detail"], nearest)
    if any(event.get("tentative") for event in said["decided"]):  # accepted, but only as over-commit
        return Verdict(False, "the capacity may not be there in every hour", nearest)
    return Verdict(True, "it fits")


async def book(client: httpx.AsyncClient, body: dict[str, Any], key: str) -> Verdict:
    """Books. `key` is the id of this one start: sent again after a lost connection, it finds the first booking.

    The spawner cancels the booking when the server stops: POST /bookings/{id}/cancel.
    """
    answer = await client.post("/bookings/create", json=body, headers={"Idempotency-Key": key})
    if answer.status_code == 409:
        asked = await check(client, body)
        return Verdict(False, answer.json()["detail"], asked.nearest)
    return Verdict(True, "booked", booking=answer.raise_for_status().json()["id"])


async def main() -> int:
    """Prints the verdict. The exit status is 0 if the server may start, and 1 if not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", help="a project (gaia) or a cluster (gaia.hub)")
    parser.add_argument("account")
    parser.add_argument("--hours", type=int, default=4)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--memory", type=int, default=1024, help="MiB")
    parser.add_argument("--book", metavar="KEY", help="book it too; the key is the id of this start")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    options = parser.parse_args()
    counts = {"cores": options.cores, "memory": options.memory}
    body = booking_of(options.pool, options.account, options.hours, counts, datetime.now(UTC))
    async with httpx.AsyncClient(base_url=options.url, headers=HEADERS, timeout=10) as client:
        verdict = await (book(client, body, options.book) if options.book else check(client, body))
    print("yes:" if verdict.allowed else "no:", verdict.reason, verdict.booking or "")
    if verdict.nearest:
        print("the nearest period that fits:", " to ".join(verdict.nearest))
    return 0 if verdict.allowed else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
