"""The command line for people: an example, commands run here or on a terminal, and pages that show them."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import shlex
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from services.cli.main import main
from tests.support.running import WAIT_S, hear_ctrl_c, inherited

QUARTER = {"startdate": "2086-06-01", "enddate": "2086-08-31"}
WRITTEN_YEAR, TESTED_YEAR = "2030-", "2086-"  # the same days of the week
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MOMENT = re.compile(r"\b[A-Z][a-z]{2} 20(?!30|86)\d\d-\d\d-\d\d \d\d:\d\d(?::\d\d)?")
LINE_ENDS = re.compile(r"[ \t]+$", re.MULTILINE)


class Done(NamedTuple):
    """What a command left: its exit status, what it printed, and its errors."""

    status: int
    out: str
    err: str


def fill(url: str) -> None:
    """The example: two projects, two clusters, four bookings, one of them a series."""
    with httpx.Client(base_url=url, timeout=WAIT_S) as http:

        def post(path: str, **body: Any) -> dict[str, Any]:
            answer = http.post(path, json=body, headers={"X-Hourbook-Actor": "root"})
            assert answer.status_code == 201, answer.text
            return dict(answer.json())

        post("/projects/create", id="gaia", name="Gaia")
        post("/projects/create", id="euclid", name="Euclid")
        post("/resources/create", project="gaia", servers=16, cores=128, memory=524288, **QUARTER)
        post("/resources/create", project="euclid", servers=8, cores=64, memory=262144, **QUARTER)
        post("/templates/create", project="gaia", name="small", cores=2, memory=8192)
        post("/clusters/create", parent="gaia", name="hub", kind="jupyterhub", cores=16, memory=65536, **QUARTER)
        spark = {"kind": "spark", "servers": 4, "cores": 48, "memory": 196608}
        post("/clusters/create", parent="gaia", name="spark", **spark, **QUARTER)
        night = {"startdate": "2086-06-03T09:00Z", "enddate": "2086-06-05T17:00Z"}
        post("/bookings/create", project="gaia", account="grace", template="small", count=4, **night)
        days = {"startdate": "2086-06-05", "enddate": "2086-06-08"}
        post("/bookings/create", clusterid="gaia.spark", account="ada", share="50%", **days)
        lesson = {"startdate": "2086-06-03T08:00Z", "enddate": "2086-06-03T18:00Z", "rrule": "FREQ=WEEKLY;COUNT=3"}
        last = post("/bookings/create", clusterid="gaia.hub", account="team", cores=8, **lesson)
        now = http.get("/available/now", params={"project": "gaia", "min_position": last["position"]})
        assert now.status_code == 200, now.text


def run_here(*words: str, stdin: str = "") -> Done:
    """The command, in this process, piped. The environment is that of the test."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["hourbook", *words], io.StringIO(stdin)
    status = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv, sys.stdin = before
    shown = (LINE_ENDS.sub("", stream.buffer.getvalue().decode()) for stream in (out, err))  # type: ignore[attr-defined]
    return Done(status, *shown)


def run_on_terminal(columns: int, *words: str, typed: str = "", **environment: str) -> Done:
    """The command as a process on a terminal of its own, with so many columns. `typed` answers its question."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    given = {**inherited(), "TERM": "xterm-256color", **environment}
    given.pop("COLUMNS", None)
    pid = os.fork()
    if pid == 0:  # the child
        hear_ctrl_c()
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        for number in (0, 1, 2):
            os.dup2(theirs, number)
        os.execve(sys.executable, [sys.executable, "-m", "services.cli", *words], given)
    os.close(theirs)
    shown, is_typed, deadline = b"", not typed, time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            got = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        shown += got
        if not is_typed and b"[y/N]" in shown:
            os.write(ours, typed.encode())
            is_typed = True
        if not got:
            break
    os.close(ours)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Done(status, LINE_ENDS.sub("", shown.decode().replace("\r\n", "\n")), "")


class Shown(NamedTuple):
    """A command line of a document, and the output that the document shows."""

    command: str
    output: str


def shown_in(page: Path) -> Iterator[Shown]:
    """The command lines of a page, in order: `    $ hourbook …`, and the lines under it."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", page.read_text(encoding="utf-8"), re.MULTILINE)
    for block in blocks:
        for part in re.split(r"^    \$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith("hourbook "):
                yield Shown(command, re.sub(r"^    ", "", output, flags=re.MULTILINE).strip("\n"))


class Reader:
    """Runs the command lines of a page one after the other. It learns which id stands for which."""

    def __init__(self, url: str, home: Path) -> None:
        self._url, self._home, self._ids = url, str(home), dict[str, str]()

    def run(self, command: str) -> str:
        """What the command prints, as the page writes it, with the real ids."""
        line = command.replace(WRITTEN_YEAR, TESTED_YEAR).replace("http://127.0.0.1:8080", self._url)
        for written, real in self._ids.items():
            line = line.replace(written, real)
        done = run_here(*shlex.split(line, comments=True)[1:])
        text = "\n".join(part.strip("\n") for part in (done.out, done.err) if part)
        text = text.replace(self._url, "http://127.0.0.1:8080").replace(self._home, "/home/you/.config")
        return text.replace(TESTED_YEAR, WRITTEN_YEAR)

    def learn(self, written: str, real: str) -> None:
        self._ids |= dict(zip(UUID.findall(written), UUID.findall(real), strict=False))


def masked(text: str) -> str:
    """The text without what differs in each run: ids, and when something was decided."""
    return LINE_ENDS.sub("", MOMENT.sub("(when)", UUID.sub("(id)", text)))
