"""Programs from PyPI that run in environments of their own: those of dependency groups, which uv makes and keeps.

An environment is made by the first test that needs it, in a minute or less, and kept in `.tools`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
INSTALL_S = 240.0


class NotInstalled(Exception):
    """The environment cannot be made here, for want of uv or of the network."""


@cache
def environment_of(group: str) -> Path:
    """The folder of the environment of a dependency group; its programs are in `bin`. Raises NotInstalled."""
    uv = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tools/bin/uv")
    folder = ROOT / ".tools/environments" / group
    command = [uv, "sync", "--project", str(ROOT), "--frozen", "--quiet", "--only-group", group]
    environment = {**without_python(), "UV_PROJECT_ENVIRONMENT": str(folder)}
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=INSTALL_S)
    except OSError:
        raise NotInstalled(f"{group} needs uv") from None
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"uv does not install {group} within {INSTALL_S:.0f} s") from None
    except subprocess.CalledProcessError as failed:
        raise NotInstalled(f"uv does not install {group}: {failed.stderr[-2000:]}") from None
    return folder


def without_python() -> dict[str, str]:
    """The environment variables of this process without those of its Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def skip_or_fail(request: pytest.FixtureRequest, why: object) -> NoReturn:
    """Skips the tests of what cannot be installed; fails them with `--keystone=must`."""
    if request.config.getoption("--keystone") == "must":
        pytest.fail(str(why))
    pytest.skip(str(why))
