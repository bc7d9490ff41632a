"""`hourbook up` with somebody who follows: through the one address at once, and no reason not to end."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import httpx

from services.cli.up.embedded import free_port
from tests.support.running import WAIT_S, Running, hear_ctrl_c, inherited, until


def test_events_are_followed_through_the_one_address_and_keep_it_from_ending_by_nothing(tmp_path: Path) -> None:
    up = Running(tmp_path / "output", "--ephemeral").ready()
    told: list[dict[str, object]] = []

    def follow() -> None:
        try:
            with httpx.stream("GET", f"{up.url}/events/stream?after=0", timeout=60) as answer:
                told.extend(json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
        except httpx.TransportError:
            pass  # it was broken off

    follower = threading.Thread(target=follow)
    try:
        assert up.create("gaia").status_code == 201
        follower.start()
        until(lambda: len(told) == 1, lambda: up.output)
        assert up.create("two").status_code == 201
        until(lambda: len(told) == 2, lambda: up.output)
        assert [event["position"] for event in told] == [1, 2]
        assert httpx.get(f"{up.url}/asyncapi.json").json()["asyncapi"] == "3.0.0"
        refused = httpx.post(f"{up.url}/webhooks", json={"url": "http://127.0.0.1/x"})
        assert (refused.status_code, refused.json()["code"]) == (403, "host_not_allowed")
        assert up.pid_of("services.notify")
    finally:
        began = time.monotonic()
        assert up.stop(signal.SIGTERM) == 0
        ended_s = time.monotonic() - began
    follower.join(10)
    assert not follower.is_alive()
    assert not up.marked()
    assert ended_s < 15  # the services are given 6 s, and need none of them


def test_status_watch_goes_on_while_nothing_answers_and_ends_with_ctrl_c(up: Running, tmp_path: Path) -> None:
    away = {
        "HOURBOOK_DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/x",
        "HOURBOOK_NATS_URL": f"nats://127.0.0.1:{free_port()}",
    }
    output = tmp_path / "output"
    with output.open("wb") as file:
        watching = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "status", "--watch", "--url", up.url],
            stdout=file,
            stderr=file,
            env=inherited() | away,
            preexec_fn=hear_ctrl_c,
        )
    try:
        until(lambda: "query service: position" in output.read_text(), output.read_text)
        assert up.create(f"w{uuid4().hex[:8]}").status_code == 201
        until(lambda: output.read_text().count("query service: position") > 1, output.read_text)
    finally:
        watching.send_signal(signal.SIGINT)
        status = watching.wait(WAIT_S)
    assert (status, "Traceback" in output.read_text()) == (0, False)
    assert output.read_text().count("event store: ") == 1  # it did not change
