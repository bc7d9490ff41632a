"""A command service on a machine whose clock is wrong: a process of its own, whose clock is shifted."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.support.backends import Backend
from tests.support.system import System

SHIFT = Path(__file__).parents[1] / "clocks" / "shift.c"
YEAR_S = 365 * 86_400


@pytest.fixture
def system(own_directory: Path, backend: Backend) -> Iterator[System]:
    system = System(own_directory / f"clock-{uuid4().hex}", backend)
    system.start()
    yield system
    system.stop()


@pytest.mark.skipif(shutil.which("cc") is None, reason="a shifted clock needs a C compiler")
def test_it_refuses_commands_and_says_why_and_another_one_goes_on(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = system.directory / "shift.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, SHIFT], check=True)
    with system.command() as right, monkeypatch.context() as wrongly:
        wrongly.setenv("LD_PRELOAD", str(library))
        wrongly.setenv("CLOCK_SHIFT_S", str(YEAR_S))
        with system.command() as wrong:
            assert create(wrong.url, "gaia") == (503, "clock_wrong")
            trouble = httpx.get(f"{wrong.url}/health").json()["trouble"]
            assert "clock is 365 d ahead of the database's" in trouble
            assert create(right.url, "gaia") == (201, None)


def create(url: str, project: str) -> tuple[int, str | None]:
    answer = httpx.post(f"{url}/projects/create", json={"id": project, "name": project}, timeout=30)
    return answer.status_code, answer.json().get("code")
