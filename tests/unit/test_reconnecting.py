"""Which errors mean a lost database, how a service goes on after one, and what a read finds without read models."""

import asyncio
import logging
import re
from pathlib import Path

import asyncpg
import nats.errors
import pytest

import shared.migrate
from services.projector.consumer import GOES_ON_AFTER, UNAPPLICABLE
from services.query.database import UNREACHABLE, NoGeneration, live
from shared.jetstream import NATS_LOST
from shared.locks import Lock, try_lock
from shared.postgres import LOST, LOST_OR_REFUSED
from shared.tasks import keep_running

log = logging.getLogger("test")
MIGRATIONS = Path(shared.migrate.__file__).with_name("migrations")


class Serving:
    """Raises `errors`, one a call; after them it serves for ever."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.calls = 0
        self.goes_on = asyncio.Event()

    async def __call__(self) -> None:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        self.goes_on.set()
        await asyncio.Event().wait()


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_each_loss_is_logged_once_and_the_work_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    serving = Serving(OSError("reset"), asyncpg.AdminShutdownError("bye"))
    async with asyncio.timeout(10):
        task = asyncio.create_task(keep_running(log, "sealer", serving, LOST, 0.0))
        await serving.goes_on.wait()
        await end(task)
    assert serving.calls == 3
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("WARNING", "sealer: OSError: reset; it goes on"),
        ("WARNING", "sealer: AdminShutdownError: bye; it goes on"),
    ]


async def test_it_waits_before_it_tries_again_and_a_cancellation_ends_the_wait() -> None:
    serving = Serving(OSError("reset"))
    async with asyncio.timeout(10):
        task = asyncio.create_task(keep_running(log, "sealer", serving, LOST, 3600.0))
        while not serving.calls:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert (serving.calls, task.done()) == (1, False)
        await end(task)


@pytest.mark.parametrize("error", [RuntimeError("defect"), asyncpg.UndefinedTableError("no event"), KeyError("x")])
async def test_an_error_that_is_not_a_loss_ends_it(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    serving = Serving(error)
    with pytest.raises(type(error)):
        await keep_running(log, "sealer", serving, LOST, 0.0)
    assert (serving.calls, caplog.records) == (1, [])


@pytest.mark.parametrize(
    "error",
    [
        OSError,
        TimeoutError,
        ConnectionResetError,
        asyncpg.InterfaceError,  # asyncpg: the connection is closed
        asyncpg.ConnectionDoesNotExistError,
        asyncpg.ConnectionFailureError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
        asyncpg.CannotConnectNowError,
        asyncpg.TooManyConnectionsError,  # the server has no connection left for now
    ],
)
def test_an_error_of_the_connection_or_of_a_server_that_stops_is_a_loss(error: type[Exception]) -> None:
    for errors in (LOST, LOST_OR_REFUSED, UNREACHABLE, GOES_ON_AFTER):
        assert issubclass(error, errors)


@pytest.mark.parametrize(
    ("error", "refused", "unreachable"),
    [
        (asyncpg.OutOfMemoryError, True, True),
        (asyncpg.QueryCanceledError, True, True),
        (asyncpg.SerializationError, True, True),
        (asyncpg.UniqueViolationError, True, False),
        (asyncpg.UndefinedTableError, True, False),
        (asyncpg.PostgresSyntaxError, True, False),
        (nats.errors.ConnectionClosedError, False, False),
        (RuntimeError, False, False),
        (AssertionError, False, False),
        (ValueError, False, False),
        (TypeError, False, False),
        (KeyError, False, False),
    ],
)
def test_an_error_of_a_statement_or_of_the_program_is_no_loss(
    error: type[Exception], refused: bool, unreachable: bool
) -> None:
    assert not issubclass(error, LOST)
    assert issubclass(error, LOST_OR_REFUSED) == refused
    assert issubclass(error, UNREACHABLE) == unreachable


def test_the_fault_of_an_event_is_no_loss() -> None:
    assert not any(issubclass(error, LOST) for error in UNAPPLICABLE)


def test_what_the_nats_client_raises_when_its_server_is_gone_is_a_loss() -> None:
    for error in (nats.errors.NoServersError, nats.errors.TimeoutError, ConnectionRefusedError, TimeoutError):
        assert issubclass(error, NATS_LOST)
    assert not issubclass(asyncpg.PostgresError, NATS_LOST)


def test_the_sql_of_the_migrations_takes_the_lock_of_the_appends() -> None:
    taken = {
        number
        for file in MIGRATIONS.glob("*.sql")
        for number in re.findall(r"advisory\w*lock\w*\(\s*(\d+)", file.read_text(encoding="utf-8"))
    }
    assert taken == {f"{Lock.APPEND:d}"}
    assert try_lock(Lock.RELAY) == "SELECT pg_try_advisory_lock(7310579630513578616)"
    assert len(set(Lock)) == 6


@pytest.mark.parametrize("nothing", [None, []])
def test_a_read_that_finds_no_live_generation_says_so(nothing: list[int] | None) -> None:
    with pytest.raises(NoGeneration, match="no generation of the read models is live"):
        live(nothing)
    assert live([0]) == [0]
