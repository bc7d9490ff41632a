"""The whole system as processes, one for the session; a project of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import System


@pytest.fixture(scope="session")
def system(own_directory: Path) -> Iterator[System]:
    system = System(own_directory / "system")
    system.start()
    try:
        yield system
    finally:
        system.stop()
