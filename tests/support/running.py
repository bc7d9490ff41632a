"""`hourbook up` and the other commands, as processes, as a person runs them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import httpx
import psutil

from services.cli.up.embedded import free_port

WAIT_S = 30.0
MARK = "HOURBOOK_TEST_MARK"


def hear_ctrl_c() -> None:
    """Called in a child before it runs a program. Whoever runs the tests in the background may have let them ignore
    Ctrl-C; a child would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Running:
    """A `hourbook up`; its output goes to a file, and everything that it starts carries its mark.

    As a context, it is ready when the block begins, and stopped after it.
    """

    def __init__(self, output: Path, *arguments: str, **environment: str) -> None:
        self.port, self.mark, self._output = free_port(), uuid4().hex, output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.cli", "up", "--port", str(self.port), *arguments],
                stdout=file,
                stderr=file,
                env={**inherited(), MARK: self.mark, **environment},
            )

    def __enter__(self) -> "Running":
        try:
            return self.ready()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> "Running":
        until(lambda: "Hourbook runs at" in self.output or self.process.poll() is not None, lambda: self.output)
        assert self.process.poll() is None, self.output
        return self

    def marked(self) -> dict[int, str]:
        """Every living process that it started, itself among them."""
        found = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    found[process.pid] = " ".join(process.cmdline())
        return found

    def pid_of(self, words: str) -> int:
        return next(pid for pid, line in self.marked().items() if words in line)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(WAIT_S)

    def create(self, project: str) -> httpx.Response:
        return httpx.post(f"{self.url}/projects/create", json={"id": project, "name": project}, timeout=WAIT_S)


def until(condition: Callable[[], bool], explain: Callable[[], object] = str, bound_s: float = WAIT_S) -> None:
    """Returns when the condition holds. After `bound_s` it fails, with what `explain` says."""
    deadline = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.02)


def inherited() -> dict[str, str]:
    """The environment without settings of ours; bytecode may be kept, or every start would compile all anew."""
    ours = ("HOURBOOK_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def hourbook(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
        env={**inherited(), **environment},
    )
