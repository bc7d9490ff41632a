"""Supervisor: starts programs in order, restarts those that end, stops them in the reverse order.

It is part of the package, so that one `pip install` runs the whole system without another supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from services.cli.up.embedded import EmbeddedPostgres, EmbeddedServerFailed, free_port, stop_process
from services.cli.up.embedded_nats import EmbeddedNats
from services.cli.up.private_files import open_private
from services.cli.up.processes import until_ended
from services.cli.up.tether import tethered
from shared.http.handover import HANDOVER_FD, make_line

POLL_S = 0.05
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.2, 5.0
STEADY_S = 10.0  # a program that ran this long starts a new count of failures
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 6.0
FAILURES_SHOWN = 3  # after this many in a row: show the log's last lines, and report only every twelfth failure
SAY_EVERY = 12
LAST_LINES = 12
AGAIN_S = 2.0
LOG_BYTES_MAX = 10_000_000

Say = Callable[[str], None]
LinkService = Callable[[str, socket.socket], None]
log = logging.getLogger(__name__)


class Program(Protocol):
    """A program to supervise. `start` returns when it is ready, or raises. `stop` returns when it has ended."""

    @property
    def name(self) -> str: ...

    @property
    def log(self) -> Path: ...

    @property
    def port(self) -> int | None: ...

    @property
    def process(self) -> subprocess.Popen[bytes] | None: ...

    async def start(self) -> None: ...

    async def stop(self, hurried: bool) -> None: ...


class NotReady(Exception):
    """A program ended before it was ready, or did not listen in time."""


class Service(NamedTuple):
    """A service: its module, the setting for its port, if it listens, and whether it takes clients' connections from
    the gateway."""

    name: str
    module: str
    port_setting: str | None = None
    is_linked: bool = False


SERVICES = {
    service.name: service
    for service in (
        Service("command", "services.command", "HOURBOOK_COMMAND_PORT", is_linked=True),
        Service("projector", "services.projector", "HOURBOOK_PROJECTOR_PORT"),
        Service("query", "services.query", "HOURBOOK_QUERY_PORT", is_linked=True),
        Service("notify", "services.notify"),
        Service("sealer", "services.sealer"),
    )
}


class ServiceProgram:
    """A service as a process. Each start takes a new free port. `port` is None while it does not listen. `link` gets
    the service's name and the gateway's end of a line to each process of it that is ready."""

    def __init__(
        self, service: Service, environment: Mapping[str, str], logs: Path, link: LinkService | None = None
    ) -> None:
        self.name, self.log = service.name, logs / f"{service.name}.log"
        self.port: int | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._service, self._environment = service, environment
        self._link = link if service.is_linked else None

    async def start(self) -> None:
        self.port = None
        port = free_port() if self._service.port_setting else None
        with contextlib.ExitStack() as ends:
            ours, theirs = (ends.enter_context(end) for end in make_line()) if self._link is not None else (None, None)
            self.process = self._spawn(port, theirs)
            if port is not None:
                await self._listening(self.process, port)
                self.port = port
            if self._link is not None and ours is not None:
                self._link(self.name, ours.dup())

    async def stop(self, hurried: bool) -> None:
        self.port = None
        how = signal.SIGKILL if hurried else signal.SIGTERM
        await asyncio.to_thread(stop_process, self.process, how, STOP_TIMEOUT_S)

    def _spawn(self, port: int | None, line: socket.socket | None) -> subprocess.Popen[bytes]:
        environment = {**self._environment, "PYTHONUNBUFFERED": "1"}
        environment.pop(HANDOVER_FD, None)
        if line is not None:
            environment[HANDOVER_FD] = str(line.fileno())
        if self._service.port_setting:
            environment[self._service.port_setting] = str(port)
        rotate(self.log)
        with open_private(self.log, "ab") as log:
            return subprocess.Popen(
                tethered([sys.executable, "-P", "-m", self._service.module], signal.SIGTERM),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=() if line is None else (line.fileno(),),
            )

    async def _listening(self, process: subprocess.Popen[bytes], port: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise NotReady(ending(process))
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(POLL_S / 2)
        process.kill()
        raise NotReady(f"it did not listen within {START_TIMEOUT_S:.0f} s")


class ServerProgram:
    """An embedded server. It keeps its port over restarts, because the services know its address."""

    def __init__(self, name: str, server: EmbeddedPostgres | EmbeddedNats, hurried_end: signal.Signals) -> None:
        self.name, self.log, self.port = name, server.log, server.port
        self._server, self._hurried_end = server, hurried_end

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self._server.process

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)

    async def stop(self, hurried: bool) -> None:
        if hurried:
            await asyncio.to_thread(self._server.stop, self._hurried_end)
        else:
            await asyncio.to_thread(self._server.stop)


class Supervisor:
    """Keeps programs running until `stop`. `say` shows a message to the user, `changed` is called after each start."""

    def __init__(self, say: Say, changed: Callable[[], None] = lambda: None) -> None:
        self.programs: list[Program] = []
        self._say, self._changed = say, changed
        self._keepers: list[asyncio.Task[None]] = []
        self._hurried = asyncio.Event()
        self._stopping = False
        self._later: asyncio.TimerHandle | None = None

    async def keep(self, program: Program) -> bool:
        """Starts a program and restarts it whenever it ends. Answers whether the first start succeeded."""
        self.programs.append(program)
        failure: str | None = None
        try:
            await program.start()
            self._started()
        except (NotReady, EmbeddedServerFailed, OSError) as error:
            failure = str(error)
        if not self._stopping:
            self._keepers.append(asyncio.create_task(self._keep(program, failure)))
        return failure is None

    async def start_once(self, program: Program) -> None:
        """Starts a program that the others need, then keeps it running. Raises when the first start fails."""
        self.programs.append(program)
        await program.start()
        self._started()
        if not self._stopping:
            self._keepers.append(asyncio.create_task(self._keep(program, None)))

    def port_of(self, name: str) -> int | None:
        """The port of a program; None while it does not listen."""
        return next((program.port for program in self.programs if program.name == name), None)

    def hurry(self) -> None:
        """Makes `stop` kill the programs. What they acknowledged is on the disc, and the next start recovers it."""
        self._hurried.set()

    async def stop(self) -> None:
        """Stops the services together, then the servers, the last started first."""
        self._stopping = True
        if self._later is not None:
            self._later.cancel()
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        services = [program for program in self.programs if isinstance(program, ServiceProgram)]
        await asyncio.gather(*(self._stop(program) for program in services))
        for program in reversed(self.programs):
            await self._stop(program)

    async def _stop(self, program: Program) -> None:
        stopping = asyncio.create_task(program.stop(self._hurried.is_set()))
        hurried = asyncio.create_task(self._hurried.wait())
        await asyncio.wait((stopping, hurried), return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not stopping.done():
            await program.stop(hurried=True)
        await stopping

    async def _keep(self, program: Program, failure: str | None) -> None:
        failures, started = 0, time.monotonic()
        while True:
            if failure is None:
                failure = await ended(program)
                failures = 0 if time.monotonic() - started > STEADY_S else failures
            failures += 1
            delay_s = min(BACKOFF_FIRST_S * 2 ** (failures - 1), BACKOFF_MAX_S)
            self._say_failure(program, failure, failures, delay_s)
            await asyncio.sleep(delay_s)
            failure, started = await self._start_again(program), time.monotonic()
            if failure is None and (failures <= FAILURES_SHOWN or failures % SAY_EVERY == 0):
                self._say(f"{program.name} runs again")

    async def _start_again(self, program: Program) -> str | None:
        start = asyncio.create_task(program.start())
        try:
            await asyncio.shield(start)
        except asyncio.CancelledError:  # a program must have started or ended before `stop` can stop it
            start.cancel() if isinstance(program, ServiceProgram) else None
            await asyncio.gather(start, return_exceptions=True)
            raise
        except (NotReady, EmbeddedServerFailed, OSError) as error:
            return str(error)
        self._started()
        return None

    def _started(self) -> None:
        """Calls `changed`. If that cannot write its file, as when the disc is full, calls it again later; the programs
        run on meanwhile."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        try:
            self._changed()
        except OSError as error:
            log.warning("the list of the processes is not up to date: %s", error)
            self._later = asyncio.get_running_loop().call_later(AGAIN_S, self._started)

    def _say_failure(self, program: Program, failure: str, failures: int, delay_s: float) -> None:
        if failures > FAILURES_SHOWN and failures % SAY_EVERY:
            return
        many = f" (for the {failures}th time in a row)" if failures > FAILURES_SHOWN else ""
        self._say(f"{program.name} ended{many}: {failure}; it is started again in {delay_s:.1f} s")
        if failures == FAILURES_SHOWN:
            lines = "\n".join(f"    {line}" for line in last_lines(program.log))
            self._say(f"{program.name} keeps ending. The last lines of {program.log}:\n{lines}")


async def ended(program: Program) -> str:
    """Waits until a program has ended. Answers how it ended, in words."""
    if program.process is not None:
        await until_ended(program.process)
    if isinstance(program, ServiceProgram):
        program.port = None
    return ending(program.process) if program.process is not None else "it was not started"


def ending(process: subprocess.Popen[bytes]) -> str:
    """How a process ended: `killed by SIGKILL`, `exit status 1`."""
    status = process.poll()
    if status is not None and status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def last_lines(log: Path) -> list[str]:
    """The last lines of a log. Empty when there is no log; the error's text when it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8_000))
            return file.read().decode(errors="replace").splitlines()[-LAST_LINES:]
    except FileNotFoundError:
        return []
    except OSError as error:
        return [str(error)]


def rotate(log: Path) -> None:
    """Begins a new log when this one is too large. One earlier log is kept."""
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
