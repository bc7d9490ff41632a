"""Makes a project with a cluster, books in it, and reads the calendar. It may be run again: everything is made once.

python examples/booking_client.py survey --cores 48 --url http://127.0.0.1:8080
"""

import argparse
import os
import time
from typing import Any
from uuid import uuid4

import httpx

DAYS = {"startdate": "2030-06-03", "enddate": "2030-06-09"}  # bare dates: both days belong to the period
# Where people sign in, a program sends its token.
TOKEN = os.environ.get("HOURBOOK_TOKEN")
HEADERS = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {"X-Hourbook-Actor": "ada"}


class Refused(Exception):
    """The ledger decided against the command. `problem` is its document (RFC 9457): `code`, `detail`, the facts."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"])
        self.problem = problem


class Hourbook:
    """Commands and reads. `position` is that of the last command: reads wait until they show it."""

    def __init__(self, http: httpx.Client, patience_s: float = 60.0) -> None:
        self._http, self._patience_s, self.position = http, patience_s, 0

    def command(self, path: str, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        """Carries out a command once, however often it is sent: all attempts have the same key."""
        headers = {"Idempotency-Key": key or str(uuid4())}
        answer = self._sent("POST", path, json=body, headers=headers)
        self.position = answer["position"]
        return answer

    def read(self, path: str, **query: str) -> dict[str, Any]:
        """Reads what is at least as new as the last command (`min_position`)."""
        return self._sent("GET", path, params={**query, "min_position": str(self.position)})

    def _sent(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Tries again after Retry-After (503, 502) and lost connections. Raises Refused (409), or httpx.HTTPError."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                answer = self._http.request(method, path, **request)
                if answer.status_code == 409:
                    raise Refused(answer.json())
                if "Retry-After" not in answer.headers or time.monotonic() > deadline:
                    return dict(answer.raise_for_status().json())
                why, wait_s = answer.reason_phrase, float(answer.headers["Retry-After"])
            except httpx.TransportError as lost:
                if time.monotonic() > deadline:
                    raise
                why, wait_s = repr(lost), 1.0
            print(f"{why}: again in {wait_s:g} s", flush=True)
            time.sleep(wait_s)


def book(hourbook: Hourbook, cluster: str, account: str, cores: int) -> dict[str, Any]:
    """Books `cores` throughout DAYS, or as many as are there throughout if those are fewer. Raises Refused."""
    body = {"clusterid": cluster, "account": account, "cores": cores, **DAYS}
    try:
        return hourbook.command("/bookings/create", body)
    except Refused as refused:
        if refused.problem["code"] != "capacity_exceeded":
            raise
        for short in refused.problem["shortages"]:
            print(f"{short['start']} to {short['end']}: {short['asked']} cores asked, {short['available']} available")
        most = min(short["available"] for short in refused.problem["shortages"])
        if most <= 0:
            raise
    return hourbook.command("/bookings/create", {**body, "cores": most})  # another command: another key


def main(hourbook: Hourbook, name: str, cores: int) -> None:
    """Makes the project `name`, its grant and its cluster, books, and prints the cluster's days."""
    hourbook.command("/projects/create", {"id": name, "name": name}, f"{name}-project")  # again: the first answer
    hourbook.command("/resources/create", {"project": name, "cores": 64, **DAYS}, f"{name}-grant")
    body = {"parent": name, "name": "spark", "cores": 40, **DAYS}
    cluster = hourbook.command("/clusters/create", body, f"{name}-spark")["id"]
    try:
        booked = book(hourbook, cluster, "ada", cores)
        print(f"booked {booked['decided'][0]['capacity']['cores']} cores: {booked['id']}")
    except Refused as refused:
        print(f"refused: {refused}")
    span = ",".join(DAYS.values())
    days = hourbook.read("/available/select", clusterid=cluster, range=span, grain="day", dimensions="cores")
    for day in days["blocks"]:
        print(day["start"][:10], day["available"]["min"]["cores"], "of", day["granted"]["min"]["cores"], "cores")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project")
    parser.add_argument("--cores", type=int, default=48)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    options = parser.parse_args()
    with httpx.Client(base_url=options.url, headers=HEADERS, timeout=30) as http:
        main(Hourbook(http), options.project, options.cores)
