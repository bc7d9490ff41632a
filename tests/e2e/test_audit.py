"""The audit as a person meets it: a running system, the command line, a directory to take away."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

from shared.audit.notes import open_checkpoint, verifier_of
from tests.e2e.test_up import Running, hourbook, until


def test_a_running_system_seals_verifies_and_exports(tmp_path: Path) -> None:
    directory = str(tmp_path / "data")
    up = Running(tmp_path / "output", "--data-dir", directory).ready()
    demo = hourbook("demo", "--url", up.url)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    until(lambda: sealed(up) == 8, lambda: up.output)
    key = httpx.get(f"{up.url}/audit/key").text.strip()
    kept = tmp_path / "kept.txt"
    kept.write_text(httpx.get(f"{up.url}/audit/checkpoint").text)
    assert open_checkpoint(kept.read_text(), verifier_of(key)).size == 8
    until(lambda: httpx.get(f"{up.url}/available/now", timeout=5).status_code != 503)
    verify = hourbook("audit", "verify", "--key", key, "--kept", str(kept), "--data-dir", directory)
    assert verify.returncode == 0, verify.stdout + verify.stderr
    assert re.search(r"^events +8 in", verify.stdout, re.M)
    assert re.search(r"^cells +[1-9][0-9,]* compared$", verify.stdout, re.M)
    assert verify.stdout.endswith("differences  0\nverified\n")
    taken = tmp_path / "taken"
    export = hourbook("audit", "export", str(taken), "--data-dir", directory)
    assert export.returncode == 0, export.stdout + export.stderr
    run = [sys.executable, "-I", "-S", str(taken / "verify.py"), "--key", key, "--kept", str(kept)]
    assert subprocess.run(run, check=False, capture_output=True).returncode == 0
    assert len((taken / "events.ndjson").read_bytes().splitlines()) == 8
    assert json.loads((taken / "schemas" / "GrantCreated.json").read_text())["title"] == "GrantCreated"
    assert hourbook("audit", "export", str(taken), "--data-dir", directory).returncode == 1
    assert up.stop() == 0
    again = Running(tmp_path / "again", "--data-dir", directory).ready()
    assert again.create("another").status_code == 201
    until(lambda: sealed(again) == 9, lambda: again.output)
    assert httpx.get(f"{again.url}/audit/key").text.strip() == key
    status = hourbook("status", "--data-dir", directory)
    assert re.search(r"seal +9 +0 ", status.stdout), status.stdout
    assert again.stop() == 0


def sealed(up: Running) -> int:
    answer = httpx.get(f"{up.url}/audit/checkpoint", timeout=5)
    return int(answer.text.split("\n")[1]) if answer.status_code == 200 else 0


def test_nothing_to_audit_is_said(tmp_path: Path) -> None:
    for command in ("verify",), ("export", str(tmp_path / "new")):
        answer = hourbook("audit", *command, "--data-dir", str(tmp_path))
        assert answer.returncode == 1
        assert "nothing runs in" in answer.stderr


def test_a_key_is_made_once(tmp_path: Path) -> None:
    made = hourbook("audit", "key", str(tmp_path / "audit.key"), "--origin", "ledger.example.org")
    assert made.returncode == 0, made.stderr
    assert verifier_of(made.stdout).name == "ledger.example.org"
    assert hourbook("audit", "key", str(tmp_path / "audit.key"), "--origin", "ledger.example.org").stdout == made.stdout
    assert os.stat(tmp_path / "audit.key").st_mode & 0o077 == 0
    (tmp_path / "text").write_text("no key")
    assert hourbook("audit", "key", str(tmp_path / "text")).returncode == 1
