"""Blazar 18 for tests: its own enforcement filter, from PyPI, in an environment of its own (`blazar_calls.py`)."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.own_environments import environment_of, without_python


class Blazar:
    """Calls the enforcement as Blazar's manager does. Each call returns None if the lease is allowed, or the message
    that Blazar's user sees; `error` is the error that Blazar does not show."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.error: str | None = None

    def check_create(self, lease: dict[str, Any]) -> str | None:
        """A lease has no id yet; `allocations` are by resource type."""
        values = {name: value for name, value in lease.items() if name not in ("id", "reservations")}
        return self.call(
            "check_create", lease_values=values, reservations=lease["reservations"], allocations=hosts_of(lease)
        )

    def check_update(self, lease: dict[str, Any], **new: Any) -> str | None:
        """`new` has the dates, and `reservations` if those change. The manager gives both dates always."""
        reservations = new.pop("reservations", lease["reservations"])
        new = {name: lease[name] for name in ("start_date", "end_date")} | new
        return self.call(
            "check_update",
            current_lease={name: value for name, value in lease.items() if name != "reservations"},
            new_lease=new,
            current_allocations=hosts_of(lease),
            new_allocations=hosts_of(lease),
            current_reservations=lease["reservations"],
            new_reservations=reservations,
        )

    def on_end(self, lease: dict[str, Any]) -> str | None:
        return self.call("on_end", lease=lease, allocations=hosts_of(lease))

    def call(self, call: str, **arguments: Any) -> str | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"call": call, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        self.error = said.get("error")
        return None if said["allowed"] else said.get("message", "")


def hosts_of(lease: dict[str, Any]) -> dict[str, Any]:
    """Blazar's hosts, by resource type: those in `hosts` of the reservations, which Blazar does not have."""
    return {one["resource_type"]: one.get("hosts", []) for one in lease["reservations"]}


@contextlib.contextmanager
def blazar(folder: Path, configuration: str) -> Iterator[Blazar]:
    """A Blazar with this blazar.conf. Raises NotInstalled."""
    path = folder / "blazar.conf"
    path.write_text(configuration)
    program = Path(__file__).with_name("blazar_calls.py")
    with (folder / "blazar.log").open("wb") as errors:
        process = subprocess.Popen(
            [environment_of("blazar") / "bin/python", "-P", program, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=without_python(),
        )
    try:
        yield Blazar(process)
    finally:
        process.communicate(timeout=60)  # it ends when its input does
