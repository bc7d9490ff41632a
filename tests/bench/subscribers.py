"""Many live subscribers in one process: `python -m tests.bench.subscribers PORT COUNT`, until it is told to stop.

All of them read all they are sent; every tenth notes when which event came, printed at the end as a JSON array of
`[position, time]`. Times are those of `time.perf_counter`, which on Linux is one clock for all processes.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time

import msgspec

from shared.tasks import end_tasks
from tests.bench.load import get

ID = re.compile(rb"(?:^|\n)id: (\d+)\ndata: ")
NOTED_EVERY = 10


async def subscribe(port: int, came: list[tuple[int, float]] | None) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(get("/events/stream"))
    await reader.readuntil(b"\r\n\r\n")
    rest = b""
    while piece := await reader.read(1 << 16):
        if came is None:
            continue
        now, text = time.perf_counter(), rest + piece
        ends = 0
        for found in ID.finditer(text):
            came.append((int(found[1]), now))
            ends = found.end()
        rest = text[ends:][-64:]


async def main(port: int, count: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    came: list[tuple[int, float]] = []
    tasks = [
        asyncio.create_task(subscribe(port, came if number % NOTED_EVERY == 0 else None)) for number in range(count)
    ]
    await stop.wait()
    await end_tasks(*tasks)
    sys.stdout.buffer.write(msgspec.json.encode(came))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
