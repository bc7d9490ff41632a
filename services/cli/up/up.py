"""`hourbook up`: runs the whole system on this machine, with embedded servers or those that the environment names."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shlex
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from services.cli.client import DEFAULT_URL
from services.cli.failure import Failure
from services.cli.up.address import LOOPBACK, Address, address_of, listening
from services.cli.up.consumers import restore
from services.cli.up.directory import DataDirectory, Process, Run, default_directory
from services.cli.up.embedded import EmbeddedPostgres, EmbeddedServerFailed
from services.cli.up.embedded_nats import EmbeddedNats
from services.cli.up.gateway import Gateway
from services.cli.up.processes import started_at
from services.cli.up.role_files import RoleFiles, check_logins
from services.cli.up.servers import DATABASE, NATS, Servers, check, migrations_failed, servers_from
from services.cli.up.supervisor import LOG_BYTES_MAX, SERVICES, ServerProgram, ServiceProgram, Supervisor, last_lines
from services.cli.up.upstreams import on_loopback
from shared import tracing
from shared.audit.notes import ensure_key
from shared.database_roles import Login, database_name, drop_logins
from shared.log_format import BadLogFormat, formatter_of
from shared.migrate import MigrationFailed, migrate
from shared.nats_access.users import SERVICES as SERVICES_ON_NATS
from shared.nats_access.users import STATUS
from shared.nats_server import FILES as NATS_FILES
from shared.postgres import LOST_OR_REFUSED

AUDIT_KEY = "HOURBOOK_AUDIT_KEY_FILE"
CREDENTIALS = ("HOURBOOK_TOKEN", "HOURBOOK_TOKEN_FILE")
# PostgreSQL's settings for data that are removed at the end: they need not reach the disc.
EPHEMERAL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def up(
    *,
    data_dir: Path | None = None,
    port: Annotated[int, Parameter(validator=Number(gte=1, lte=65535))] = 8080,
    host: str = LOOPBACK,
    auth: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    ephemeral: Annotated[bool, Parameter(negative=())] = False,
    services: Annotated[tuple[str, ...], Parameter(show=False)] = tuple(SERVICES),
) -> None:
    """
    Parameters
    ----------
    data_dir
        The directory of the data and the logs. Default: $XDG_DATA_HOME/hourbook, or ~/.local/share/hourbook; for root
        /var/lib/hourbook.
    port
        The port of the HTTP address.
    host
        Where to listen: 127.0.0.1, ::1, an address of this machine, or 0.0.0.0 for all of them. Other machines reach
        all but the first two, so that it needs --auth, or HOURBOOK_OPEN=yes.
    auth
        The file that says who may sign in (HOURBOOK_AUTH_FILE). Without it, nobody signs in, and whoever reaches the
        address may do everything.
    tls_cert
        The certificate for HTTPS, in PEM, with those of its issuers (HOURBOOK_TLS_CERT_FILE).
    tls_key
        The key of the certificate, in PEM (HOURBOOK_TLS_KEY_FILE).
    ephemeral
        Use a temporary directory, and remove it at the end.
    services
        Which services to run. For tests.
    """
    console = Console(highlight=False, soft_wrap=True)
    servers = servers_from(os.environ)
    if ephemeral and data_dir is not None:
        raise Failure("--ephemeral keeps no data, --data-dir names a place to keep them: give one of the two")
    address = address_of(os.environ, host, port, auth, tls_cert, tls_key)
    with _directory(data_dir, ephemeral) as directory, directory.locked(), listening(host, port) as taken:
        _keep_log(directory.logs / "gateway.log")
        _begin_traces()
        asyncio.run(Up(console, directory, servers, ephemeral, services, address, taken, dict(os.environ)).run())


class Up:
    """One run of the whole system. Shows the user what happens; the services log to files."""

    def __init__(
        self,
        console: Console,
        directory: DataDirectory,
        servers: Servers | None,
        ephemeral: bool,
        services: Sequence[str],
        address: Address,
        taken: socket.socket,
        environment: dict[str, str],
    ) -> None:
        self._console, self._directory, self._named, self._ephemeral = console, directory, servers, ephemeral
        self._services, self._socket, self._environment = services, taken, environment
        self._address, self._url = address, address.url
        self._servers = servers
        self._logins: dict[str, Login] = {}
        self._database_urls: dict[str, str] = {}  # by service
        self._supervisor = Supervisor(self._say, self._record)
        self._gateway = Gateway(
            on_loopback(self._supervisor.port_of), entrance=address.entrance, signed_in=address.issuers is not None
        )
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Runs until a signal, and returns when everything has stopped. Raises Failure when the start failed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores it, and so do we
                loop.add_signal_handler(number, self._stop_asked)
        began = time.monotonic()
        try:
            for step in (self._start_servers, self._migrate, self._start_services, self._start_gateway):
                if not self._stop.is_set():
                    await step()
            if not self._stop.is_set():
                self._welcome(time.monotonic() - began)
            await self._stop.wait()
        except Failure:
            if not self._stop.is_set():
                raise
        finally:
            await self._end()

    def _stop_asked(self) -> None:
        if self._stop.is_set():
            self._supervisor.hurry()
            return
        self._stop.set()
        self._say("stopping (press Ctrl-C again to stop at once) …")

    async def _start_servers(self) -> None:
        await asyncio.to_thread(self._directory.stop_leftovers, self._say)
        if self._named is not None:
            named = self._named
            await self._timed("your servers", lambda: check(named))
            return
        logs = self._directory.logs
        postgres = EmbeddedPostgres(
            self._directory.postgres,
            settings=EPHEMERAL if self._ephemeral else None,
            log=logs / "postgres.log",
            ours=(self._directory.path,) if self._directory.is_ours else (),
        )
        nats = EmbeddedNats(self._directory.nats, log=logs / "nats.log")
        new = "" if (postgres.data / "PG_VERSION").exists() else " (new)"
        await self._timed(
            f"PostgreSQL{new}",
            lambda: self._supervisor.start_once(ServerProgram("postgres", postgres, signal.SIGQUIT)),
            postgres.log,
        )
        await self._timed(
            "NATS", lambda: self._supervisor.start_once(ServerProgram("nats", nats, signal.SIGKILL)), nats.log
        )
        await restore(nats)
        self._servers = Servers(
            postgres.url, nats.url_of(STATUS.name), {user.name: nats.url_of(user.name) for user in SERVICES_ON_NATS}
        )

    async def _migrate(self) -> None:
        assert self._servers is not None
        await self._timed("migrations", lambda: asyncio.to_thread(self._migrated))

    def _migrated(self) -> None:
        """Migrates, and gives each service a role of its own. The roles have the directory's suffix on a server that
        others use too: another `up` with another directory then has roles of its own."""
        assert self._servers is not None
        url, files = self._servers.database_url, RoleFiles(self._directory.roles)
        logins = files.logins(database_name(url), "login" if self._named is None else secrets.token_hex(4))
        try:
            migrated = migrate(url, logins, own_server=self._named is None)
        except MigrationFailed as error:
            raise migrations_failed(error, url) from None
        if migrated.no_roles is None:
            self._logins, self._database_urls = logins, files.urls(url, logins)
            if self._named is not None:
                check_logins(self._database_urls)
        else:
            self._say(f"all services use the one role of {DATABASE}, with all its rights: {migrated.no_roles}")
            self._database_urls = dict.fromkeys(logins, url)

    async def _start_services(self) -> None:
        assert self._servers is not None
        environment = self._address.for_services(self._environment)
        if self._logins:
            environment.pop("PGPASSWORD", None)  # it is that of the role that migrates
        for credential in CREDENTIALS:
            environment.pop(credential, None)  # it is the user's own, for the command line
        if "sealer" in self._services and AUDIT_KEY not in environment:
            environment[AUDIT_KEY] = str(self._directory.audit_key)
            ensure_key(self._directory.audit_key)
        programs = [
            ServiceProgram(
                SERVICES[name],
                environment | {DATABASE: self._database_urls[name]} | self._nats_of(name),
                self._directory.logs,
                self._gateway.link if self._gateway.hands_over else None,
            )
            for name in SERVICES
            if name in self._services
        ]
        await asyncio.gather(*(self._start_service(program) for program in programs))

    def _nats_of(self, service: str) -> dict[str, str]:
        """The settings by which a service finds NATS: as its own user, where `up` has made the users."""
        assert self._servers is not None
        if self._servers.nats_urls is None:
            return {NATS: self._servers.nats_url}
        return {**dict.fromkeys(NATS_FILES, ""), NATS: self._servers.nats_urls.get(service, "")}

    async def _start_service(self, program: ServiceProgram) -> None:
        began = time.monotonic()
        if await self._until_stop(self._supervisor.keep(program)):
            self._line(program.name, time.monotonic() - began)

    async def _until_stop(self, starting: Awaitable[bool]) -> bool:
        """Waits until a service has started. Answers False when the user stops `up` before that."""
        start, stop = asyncio.ensure_future(starting), asyncio.create_task(self._stop.wait())
        await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not start.done():
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            return False
        return start.result()

    async def _start_gateway(self) -> None:
        await self._gateway.start(self._socket)
        self._record()

    async def _end(self) -> None:
        await self._gateway.stop()
        tracing.end()
        await self._supervisor.stop()
        self._directory.remove_run()
        await self._drop_logins()
        if self._stop.is_set():
            self._say("stopped")

    async def _drop_logins(self) -> None:
        """Drops the roles of an ephemeral run on a server that is kept. Their passwords are gone with the directory."""
        if self._servers is not None and self._ephemeral and self._named is not None:
            with contextlib.suppress(*LOST_OR_REFUSED):
                await drop_logins(self._servers.database_url, self._logins)

    async def _timed(self, name: str, step: Callable[[], Awaitable[None]], *logs: Path) -> None:
        began = time.monotonic()
        with self._console.status(f"{name} …"):
            try:
                await step()
            except (EmbeddedServerFailed, OSError) as error:
                lines = "\n".join(f"    {line}" for log in logs for line in last_lines(log))
                raise Failure(f"{name}: {error}\n{lines}") from None
        self._line(name, time.monotonic() - began)

    def _line(self, name: str, seconds: float) -> None:
        self._console.print(f"  {name:<16} ready {seconds:5.2f} s", markup=False)

    def _say(self, message: str) -> None:
        """Shows a message. If it cannot be shown (the terminal is gone, a file on a full disc), everything goes on."""
        with contextlib.suppress(OSError):
            self._console.print(f"{datetime.now():%H:%M:%S} {message}", markup=False)  # noqa: DTZ005  (the user's clock)

    def _record(self) -> None:
        """Writes `run.json`, for `hourbook status`, and for the next start in case this process is killed."""
        nats_url = self._servers.nats_url if self._servers is not None else ""
        processes = {
            program.name: Process(program.process.pid, started_at(program.process.pid), program.port)
            for program in self._supervisor.programs
            if program.process is not None
        }
        self._directory.write_run(
            Run(os.getpid(), self._url, nats_url, processes, self._address.issuers, self._database_urls)
        )

    def _welcome(self, seconds: float) -> None:
        kept = "removed at the end" if self._ephemeral else "kept"
        public = self._address.public_url
        elsewhere = "" if public == self._url else f"  for others: {public}\n"
        self._console.print(
            f"\nHourbook runs at {self._url} after {seconds:.1f} s. Ctrl-C ends it.\n"
            f"  {self._address.access()}\n{elsewhere}"
            f"  data ({kept}) and logs: {self._directory.path}\n"
            f"  OpenAPI: {self._url}/schema\n\n"
            f"Try, in another terminal:\n{self._first_steps()}\n"
            f"or a whole month of an example:\n  {command_at(self._url, 'demo')}\n"
            f"What is free, and bookings, on the command line:\n  {command_at(self._url, 'free')}\n"
            f"How far each part has come:\n  {status_command(self._directory, self._environment)}\n",
            markup=False,
        )

    def _first_steps(self) -> str:
        """What to paste: requests; where people sign in, how to get the first token."""
        if self._address.issuers is None:
            return examples(self._url, datetime.now(UTC))
        where = data_dir_option(self._directory, self._environment)
        return (
            f"  hourbook token create first --role admin --operator --out first.token{where}\n"
            "  export HOURBOOK_TOKEN_FILE=first.token"
        )


def command_at(url: str, name: str) -> str:
    """The command line of `hourbook NAME` at this address."""
    return f"hourbook {name}" + ("" if url == DEFAULT_URL else f" --url {url}")


def status_command(directory: DataDirectory, environment: Mapping[str, str]) -> str:
    return "hourbook status" + data_dir_option(directory, environment)


def data_dir_option(directory: DataDirectory, environment: Mapping[str, str]) -> str:
    """The option by which a command finds the directory; nothing if it is the default one."""
    is_default = directory.path == DataDirectory(default_directory(environment)).path
    return "" if is_default else f" --data-dir {shlex.quote(str(directory.path))}"


def examples(url: str, now: datetime) -> str:
    """Requests to paste: create a project, a grant and a booking, and read what is available."""
    first, booked, last = (f"{now + timedelta(days=days):%Y-%m-%d}" for days in (0, 6, 29))
    posts = (
        ("projects", '{"id": "gaia", "name": "Gaia"}'),
        (
            "resources",
            f'{{"project": "gaia", "startdate": "{first}", "enddate": "{last}", "cores": 64, "memory": 131072}}',
        ),
        (
            "bookings",
            f'{{"project": "gaia", "account": "ada", "startdate": "{first}", "enddate": "{booked}", '
            '"cores": 16, "memory": 32768}',
        ),
    )
    lines = [f"  curl {url}/{path}/create -d '{body}'" for path, body in posts]
    return "\n".join([*lines, f"  curl '{url}/available/select?project=gaia&range={first},{last}&grain=day'"])


def _keep_log(file: Path) -> None:
    """Logs of this process and its libraries go to a file. The terminal shows only what `_say` prints."""
    logging.raiseExceptions = False  # a full disc should not fill the terminal with tracebacks
    handler = RotatingFileHandler(file, maxBytes=LOG_BYTES_MAX, backupCount=1, encoding="utf-8")
    try:
        handler.setFormatter(formatter_of(os.environ, "gateway"))
    except BadLogFormat as error:
        raise Failure(str(error)) from None
    logging.basicConfig(handlers=[handler], level=logging.INFO)


def _begin_traces() -> None:
    """Traces of the gateway. The services begin their own, by the same settings."""
    try:
        tracing.begin("gateway", os.environ)
    except tracing.CannotTrace as error:
        raise Failure(str(error)) from None


@contextlib.contextmanager
def _directory(data_dir: Path | None, ephemeral: bool) -> Iterator[DataDirectory]:
    """The data directory. An ephemeral one is removed at the end."""
    if not ephemeral:
        yield DataDirectory(data_dir or default_directory(os.environ))
        return
    path = Path(tempfile.mkdtemp(prefix="hourbook-"))
    try:
        yield DataDirectory(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)
