"""A disc that is really full: PostgreSQL and NATS share it with something that grows. It needs root, for a disc."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.support.backends import Backend, Embedded
from tests.support.replay import BOUND_S, assert_all_is_there_once
from tests.support.system import System

PERIOD = {"startdate": "2086-01-01", "enddate": "2086-01-03"}
DISC = "size=300m,mode=711"
PIECE = bytes(4096)


@pytest.fixture
def disc(own_directory: Path, backend: Backend) -> Iterator[Path]:
    """A disc of 300 MB."""
    place = own_directory / f"disc-{uuid4().hex}"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", DISC, "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode or not isinstance(backend, Embedded):
        pytest.skip(f"it fills a disc of its own, which root makes: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
async def system(disc: Path, backend: Backend) -> AsyncIterator[System]:
    system = System(disc / "system", backend)
    system.directory.mkdir(mode=0o711)
    system.start()
    try:
        yield system
    finally:
        system.stop()


@contextlib.contextmanager
def full(disc: Path) -> Iterator[None]:
    """The disc has no room while the block runs."""
    ballast = disc / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(PIECE):
            pass
    try:
        yield
    finally:
        ballast.unlink()


async def test_a_full_disc_loses_nothing_and_everything_goes_on_when_there_is_room(disc: Path, system: System) -> None:
    with system.projector(), system.sealer(), system.notify(), system.command() as command:
        async with httpx.AsyncClient(base_url=command.url, timeout=BOUND_S) as client:
            await client.post("/projects/create", json={"id": "gaia", "name": "Gaia"})
            await client.post("/resources/create", json={"project": "gaia", "cores": 10**6, **PERIOD})
            booked = []

            async def book_until(status: int) -> httpx.Response:
                async with asyncio.timeout(BOUND_S):
                    while True:
                        body = {"project": "gaia", "account": "ada", "cores": 1, "reason": "x" * 200, **PERIOD}
                        answer = await client.post("/bookings/create", json=body)
                        if answer.status_code == 201:
                            booked.append(answer.json()["id"])
                        if answer.status_code == status:
                            return answer

            await book_until(201)
            with full(disc):
                refused = await book_until(503)
                assert refused.json()["code"] == "store_full"
                assert "No space left on device" in (await client.get("/health")).json()["trouble"]
            await book_until(201)
            system.nats.stop()  # a NATS server that met a full disc takes no messages until it starts again
            system.nats.start()
            await assert_all_is_there_once(system, booked)
            assert (await client.get("/health")).json()["trouble"] is None
