"""A release is an sdist and a wheel. Both hold all that the program reads, and it runs without the checkout."""

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.running import inherited

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
BOUND_S = 120
FILE_BYTES_MAX = 2_000_000
# Folders with files other than Python that the program reads at run time.
DATA = ("services/query/web", "shared/migrations", "shared/http/openapi_page")
OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT")
NO_DATA = ("__pycache__", ".pyc", "README.md", "take.sh")


class Release(NamedTuple):
    """What `uv build` made."""

    sdist: Path
    wheel: Path


def uv(*arguments: str | Path, cwd: Path) -> None:
    program = shutil.which("uv") or ROOT / ".tools" / "bin" / "uv"
    run([program, *arguments], cwd)


def run(command: Sequence[str | Path], cwd: Path) -> str:
    """The program's standard output. Nothing in its environment names this checkout."""
    environment = {name: value for name, value in inherited().items() if name not in OURS} | {"COLUMNS": "120"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    directory = tmp_path_factory.mktemp("release")
    uv("build", "--quiet", "--out-dir", directory, ROOT, cwd=directory)
    (sdist,), (wheel,) = directory.glob("*.tar.gz"), directory.glob("*.whl")
    return Release(sdist, wheel)


@pytest.fixture(scope="module")
def installed(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment, which has the wheel, and the dependencies of this one."""
    directory = tmp_path_factory.mktemp("installed")
    environment = directory / "venv"
    uv("venv", "--quiet", "--python", sys.executable, environment, cwd=directory)
    uv("pip", "install", "--quiet", "--no-deps", "--python", environment, release.wheel, cwd=directory)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return environment / "bin"


def in_wheel(release: Release) -> set[str]:
    with zipfile.ZipFile(release.wheel) as archive:
        return set(archive.namelist())


def test_the_version_is_that_of_pyproject(release: Release, installed: Path, tmp_path: Path) -> None:
    assert (release.sdist.name, release.wheel.name) == (
        f"hourbook-{VERSION}.tar.gz",
        f"hourbook-{VERSION}-py3-none-any.whl",
    )
    assert run([installed / "hourbook", "--version"], tmp_path).strip() == VERSION


def test_the_command_line_runs_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    assert "hourbook demo" in run([installed / "hourbook", "--help"], tmp_path)
    assert "--data-dir" in run([installed / "hourbook", "up", "--help"], tmp_path)
    found = run([installed / "python", "-c", "import services.cli.up.up as up; print(up.__file__)"], tmp_path)
    assert Path(found.strip()).is_relative_to(installed.parent)


def test_the_wheel_has_the_files_that_the_program_reads_and_no_tests(release: Release) -> None:
    files = in_wheel(release)
    needed = {
        path.relative_to(ROOT).as_posix()
        for folder in DATA
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not path.as_posix().endswith(NO_DATA)
    }
    assert len(needed) > 50
    assert needed <= files
    assert {file.partition("/")[0] for file in files} == {"services", "shared", f"hourbook-{VERSION}.dist-info"}


def test_the_sdist_has_the_tests_and_nothing_large(release: Release) -> None:
    with tarfile.open(release.sdist) as archive:
        files = {member.name.partition("/")[2]: member.size for member in archive.getmembers()}
    assert {"pyproject.toml", "uv.lock", "LICENSE", "README.md", "CHANGELOG.md", "tests/conftest.py"} <= files.keys()
    assert not [
        file for file in files if file.startswith((".", "data/", "dist/", "node_modules/")) and file != ".gitignore"
    ]
    assert max(files.values()) < FILE_BYTES_MAX
