"""The load generator `wrk`, as a program: it takes its requests from a script in Lua, and tells its result as JSON."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from uuid import uuid4

import msgspec

SCRIPT = r"""
local requests, key = {%s}, "%s"
local number = 0
function request()
    number = number + 1
    local one = requests[number %% #requests + 1]
    if key == "" then return one end
    return (one:gsub("\r\n", "\r\nIdempotency-Key: " .. key .. "-" .. number .. "\r\n", 1))
end
function done(summary, latency)
    local errors = summary.errors
    print(string.format('{"requests":%%d,"refused":%%d,"lost":%%d,"took_us":%%d,"p50_us":%%d,"p99_us":%%d}',
        summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
        summary.duration, latency:percentile(50), latency:percentile(99)))
end
"""


class Said(msgspec.Struct):
    """What wrk tells. `refused` counts answers of a status beyond 399, `lost` connections that failed."""

    requests: int
    refused: int
    lost: int
    took_us: int
    p50_us: int
    p99_us: int
    driver_s: float = 0.0

    @property
    def seconds(self) -> float:
        return self.took_us / 1e6

    @property
    def p50(self) -> float:
        return self.p50_us / 1e6

    @property
    def p99(self) -> float:
        return self.p99_us / 1e6


async def drive(port: int, raw: Sequence[bytes], *, keyed: bool, connections: int, seconds: float) -> Said:
    """Sends the requests in turn, with one thread. wrk counts whole seconds. Raises RuntimeError if a connection
    failed."""
    script = SCRIPT % (", ".join(json.dumps(one.decode()) for one in raw), uuid4().hex if keyed else "")
    with tempfile.NamedTemporaryFile("w", prefix="hourbook-bench-", suffix=".lua") as file:
        file.write(script)
        file.flush()
        options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}", "--timeout=30s", f"-s{file.name}"]
        said = await asyncio.to_thread(_run, ["wrk", *options, f"http://127.0.0.1:{port}"])
    if said.lost:
        raise RuntimeError(f"wrk lost {said.lost} connections to port {port}")
    return said


def _run(command: list[str]) -> Said:
    """`driver_s` is what children that ended meanwhile have used: the bench ends no other child during a load, but for
    another wrk beside it."""
    before = _ended_children_s()
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"wrk failed: {ran.stdout}{ran.stderr}")
    said = msgspec.json.decode(ran.stdout.splitlines()[-1], type=Said)
    said.driver_s = _ended_children_s() - before
    return said


def _ended_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
