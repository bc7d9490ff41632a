"""The services as processes: a system for each module, one `hourbook up` for all, and a project for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.backends import Backend
from tests.support.running import Running
from tests.support.system import System


@pytest.fixture(scope="module")
def system(own_directory: Path, backend: Backend) -> Iterator[System]:
    system = System(own_directory / f"system-{uuid4().hex}", backend)
    system.start()
    try:
        yield system
    finally:
        system.stop()


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A `hourbook up` with all services, for the tests that need one as it is. A test that stops it starts its own."""
    with Running(tmp_path_factory.mktemp("up") / "output", "--ephemeral") as up:
        yield up


@pytest.fixture
def tmp_path(own_directory: Path) -> Path:
    """A folder that another user reaches, as pytest's own is not once a second session of it has begun."""
    path = own_directory / uuid4().hex
    path.mkdir(mode=0o711)
    return path
