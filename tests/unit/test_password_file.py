"""A service that cannot read its password file says so at its start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.process import password_file_trouble


@pytest.mark.parametrize("service", ["command", "projector", "query", "notify", "sealer"])
def test_a_service_names_the_file_that_is_not_there(service: str, tmp_path: Path) -> None:
    there = tmp_path / "no such file"
    address = f"postgresql://hourbook_{service}_login@127.0.0.1:1/hourbook?passfile={str(there).replace(' ', '%20')}"
    environment = os.environ | {
        "HOURBOOK_DATABASE_URL": address,
        "HOURBOOK_NATS_URL": "nats://127.0.0.1:1",
        "HOURBOOK_AUDIT_KEY_FILE": str(tmp_path / "audit.key"),
    }
    command = [sys.executable, "-m", f"services.{service}"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert f"HOURBOOK_DATABASE_URL: the password file (passfile) {there}: No such file or directory" in ended.stderr


def test_an_address_without_a_file_or_with_one_that_can_be_read_is_right(tmp_path: Path) -> None:
    there = tmp_path / "pgpass"
    there.write_text("*:*:*:a:b")
    for address in (
        "",
        "postgresql://a@h/d",
        f"postgresql://a@h/d?sslmode=disable&passfile={there}",
        "postgresql://[a",
    ):
        assert password_file_trouble(address) is None
