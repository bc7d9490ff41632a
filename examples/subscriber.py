"""Keeps a copy of one project's bookings in SQLite, from GET /events/stream. It may be killed at any moment.

python examples/subscriber.py gaia --url http://127.0.0.1:8080 --database bookings.db
"""

import argparse
import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import httpx

TYPES = "BookingCreated,BookingAmended,BookingCancelled,BookingLapsed,BookingConfirmed,BookingContested"
# Where people sign in, a program sends its token.
TOKEN = os.environ.get("HOURBOOK_TOKEN")
HEADERS = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
SCHEMA = """
CREATE TABLE IF NOT EXISTS progress (project TEXT PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS booked (
    booking TEXT, "start" TEXT, "end" TEXT, pool TEXT, account TEXT, cores INTEGER, memory INTEGER, share INTEGER,
    tentative INTEGER, PRIMARY KEY (booking, "start"));
"""


def apply(database: sqlite3.Connection, event: dict[str, Any]) -> None:
    """Writes what one event changes. A booking has a second row when an amendment changed it after it had begun."""
    match event["type"]:
        case "BookingCreated":
            hold(database, event)
        case "BookingAmended":
            give_back(database, event["booking"], event["from_start"])
            hold(database, event)
        case "BookingCancelled" | "BookingLapsed":
            give_back(database, event["booking"], event["start"])
        case "BookingConfirmed" | "BookingContested":
            tentative = event["type"] == "BookingContested"
            database.execute("UPDATE booked SET tentative = ? WHERE booking = ?", (tentative, event["booking"]))


def hold(database: sqlite3.Connection, event: dict[str, Any]) -> None:
    """Fields that an event leaves out have their default: no count, no share, not tentative."""
    counts = event.get("capacity", {})
    row = [event["booking"], event["start"], event["end"], event["pool"], event["account"]]
    row += [counts.get("cores", 0), counts.get("memory", 0), event.get("share", 0), event.get("tentative", False)]
    database.execute("INSERT INTO booked VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def give_back(database: sqlite3.Connection, booking: str, start: str) -> None:
    """The booking holds nothing from `start` on. Instants are UTC in one format, so they compare as text."""
    database.execute('DELETE FROM booked WHERE booking = ? AND "start" >= ?', (booking, start))
    database.execute('UPDATE booked SET "end" = ? WHERE booking = ? AND "end" > ?', (start, booking, start))


def messages(answer: httpx.Response) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Each message's position and event. A heartbeat has no event: nothing for us is in the positions up to its own."""
    position, event = 0, None
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            position = int(value)
        elif name == "data":
            event = json.loads(value)["event"]
        elif not line and position:
            yield position, event
            position, event = 0, None


def follow(database: sqlite3.Connection, url: str, project: str) -> None:
    """Applies events until the connection ends or is lost (httpx.TransportError). SystemExit: a retry cannot help."""
    stored = database.execute("SELECT position FROM progress WHERE project = ?", (project,)).fetchone()
    # A heartbeat comes each 15 s.
    query = {"project": project, "type": TYPES, "after": str(stored[0] if stored else 0)}
    with httpx.stream("GET", f"{url}/events/stream", params=query, headers=HEADERS, timeout=60) as answer:
        if 400 <= answer.status_code < 500:  # for example, the position is from another ledger
            raise SystemExit(answer.read().decode())
        if answer.status_code != 200:
            return
        print(f"after position {query['after']}", flush=True)
        for position, event in messages(answer):
            with database:  # one transaction: the rows and the position that they account for
                if event:
                    apply(database, event)
                database.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (project, position))
            if event:
                print(position, event["type"], event["booking"], flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--database", default="bookings.db")
    options = parser.parse_args()
    with sqlite3.connect(options.database) as database, contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends it
        database.executescript(SCHEMA)
        while True:
            try:
                follow(database, options.url, options.project)
            except httpx.TransportError as lost:
                print(f"{lost}; again in 1 s", flush=True)
            time.sleep(1)
