"""Where a test run keeps its files: in memory where there is room, as nothing of it is needed after the run."""

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30  # a run with two workers needs about a quarter of it


def in_memory() -> bool:
    """Whether this run's temporary files are in memory."""
    return Path(tempfile.gettempdir()).is_relative_to(MEMORY)


def use_memory() -> None:
    """Lets this process and its children make temporary files in memory: servers start and databases are copied several
    times as fast. Leaves everything as it is where TMPDIR is set, or where programs may not run from memory."""
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return
    if shutil.disk_usage(MEMORY).free < ROOM_BYTES or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # it is found anew
