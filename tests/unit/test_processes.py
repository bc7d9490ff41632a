"""Another process is known by its pid and its start: a pid that is used again is another process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from services.cli.up.processes import command_line, end, started_at, until_ended
from tests.support.running import until

DEAF = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); sys.stdin.read()"


@pytest.fixture
def deaf() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ignores SIGTERM."""
    with subprocess.Popen([sys.executable, "-c", DEAF], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"deaf\n"
        yield process
        process.kill()


def test_a_process_keeps_its_start_and_another_has_another(deaf: subprocess.Popen[bytes]) -> None:
    assert started_at(deaf.pid) == started_at(deaf.pid)
    assert started_at(deaf.pid) not in (None, started_at(os.getpid()))
    assert command_line(deaf.pid).startswith(f"{sys.executable} -c import signal")


def test_a_zombie_and_a_pid_that_is_none_do_not_run() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        until(lambda: started_at(process.pid) is None)
    for pid in (process.pid, -1, 2**40):
        assert (started_at(pid), command_line(pid)) == (None, "")


async def test_the_end_of_a_child_is_noticed(deaf: subprocess.Popen[bytes]) -> None:
    waiting = asyncio.create_task(until_ended(deaf))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    deaf.kill()
    async with asyncio.timeout(30):
        await waiting
        await until_ended(deaf)  # also of one that has ended
    assert deaf.returncode == -signal.SIGKILL


def test_one_that_does_not_end_in_time_is_killed(deaf: subprocess.Popen[bytes]) -> None:
    end(deaf.pid, started_at(deaf.pid) or "", signal.SIGTERM, timeout_s=0.1)
    assert deaf.wait(10) == -signal.SIGKILL


def test_a_later_process_with_the_pid_is_left_alone(deaf: subprocess.Popen[bytes]) -> None:
    end(deaf.pid, "12.34", signal.SIGKILL, timeout_s=0.1)
    assert deaf.poll() is None
