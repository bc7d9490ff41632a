"""An export that somebody changed: the verifier inside the export finds each kind of change, in its own process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import asyncpg
import msgspec
import pytest
from arro3.io import read_parquet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.cli.audit.export import NothingToExport, export
from services.sealer.sealer import seal
from shared.audit.merkle import Tree, hash_leaves
from shared.audit.notes import Signer
from shared.event_store import EventStore
from shared.events import EVENT_TYPES, decode_event
from tests.support.backends import as_role
from tests.support.histories import append_history, history

SIGNER = Signer("hourbook", Ed25519PrivateKey.from_private_bytes(bytes(32)))
KEY = SIGNER.verifier.text()
EVENTS = history(11, 300)
Exported = tuple[Path, Path]


@pytest.fixture
async def exported(database_url: str, tmp_path: Path) -> Exported:
    """A directory with an export of 300 events, and an older checkpoint of the first 200."""
    connection, tree = await asyncpg.connect(database_url), Tree()
    await append_history(EventStore(connection), EVENTS[:200])
    await seal(connection, tree, SIGNER)
    await asyncio.to_thread(export, as_role(database_url, "query"), tmp_path / "before")
    await append_history(EventStore(connection), EVENTS[200:])
    await seal(connection, tree, SIGNER)
    await connection.close()
    written = await asyncio.to_thread(export, as_role(database_url, "query"), tmp_path / "now")
    assert written.size == 300
    return tmp_path / "now", tmp_path / "before" / "checkpoint.txt"


def run(directory: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The output of the export's verifier. It runs without any installed package."""
    command = [sys.executable, "-I", "-S", str(directory / "verify.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


async def test_an_export_verifies_itself_and_shows_an_older_one_to_be_its_prefix(exported: Exported) -> None:
    directory, kept = exported
    answer = run(directory, "--key", KEY, "--kept", kept)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("events     300\nroot       ")
    assert f"signed by  {KEY}\nkept       {kept}: it was signed over the first 200 events" in answer.stdout
    believing = run(directory)
    assert (believing.returncode, "the export's own key" in believing.stdout) == (0, True)
    assert run(directory, "--key", directory / "key.txt").returncode == 0


async def test_the_lines_are_the_stored_bytes_and_the_columns_say_the_same(exported: Exported) -> None:
    directory, _ = exported
    lines = (directory / "events.ndjson").read_bytes().splitlines()
    assert [decode_event(line) for line in lines] == EVENTS
    table = read_parquet(directory / "events.parquet").read_all()
    rows = {name: [value.as_py() for value in table[name]] for name in table.schema.names}
    assert rows["position"] == list(range(1, 301))
    assert rows["event"] == [line.decode() for line in lines]
    assert rows["type"] == [type(event).__name__ for event in EVENTS]
    assert rows["project"] == [event.project for event in EVENTS]
    assert rows["at"] == [event.at for event in EVENTS]
    assert rows["command"] == [str(event.command) for event in EVENTS]
    counted = Counter[str]()
    for project, version in zip(rows["project"], rows["version"], strict=True):
        counted[project] += 1
        assert version == counted[project]


async def test_the_schema_documents_are_there(exported: Exported) -> None:
    directory, _ = exported
    assert {file.stem for file in (directory / "schemas").iterdir()} == {kind.__name__ for kind in EVENT_TYPES}
    for file in (directory / "schemas").iterdir():
        assert msgspec.json.decode(file.read_bytes())["title"] == file.stem


def one_byte(lines: list[bytes]) -> None:
    lines[150] = lines[150].replace(b"ada", b"adA", 1) if b"ada" in lines[150] else lines[150].replace(b"g", b"G", 1)


def one_dropped(lines: list[bytes]) -> None:
    del lines[150]


def two_swapped(lines: list[bytes]) -> None:
    lines[150], lines[151] = lines[151], lines[150]


def the_tail_cut(lines: list[bytes]) -> None:
    del lines[250:]


def the_last_line_cut(lines: list[bytes]) -> None:
    lines[-1] = lines[-1][:-3]


def a_tail_forged(lines: list[bytes]) -> None:
    lines.append(lines[-1])


def a_line_split(lines: list[bytes]) -> None:
    lines[7] = lines[7][:20] + b"\n" + lines[7][20:]


TAMPERINGS = [one_byte, one_dropped, two_swapped, the_tail_cut, the_last_line_cut, a_tail_forged, a_line_split]


@pytest.mark.parametrize("tamper", TAMPERINGS)
async def test_events_that_were_tampered_with_do_not_verify(
    exported: Exported, tamper: Callable[[list[bytes]], None]
) -> None:
    directory, _ = exported
    change(directory, tamper)
    answer = run(directory, "--key", KEY)
    assert answer.returncode == 1
    assert answer.stderr.startswith("NOT VERIFIED: ")


@pytest.mark.parametrize("tamper", TAMPERINGS)
async def test_a_tree_computed_again_is_not_signed(exported: Exported, tamper: Callable[[list[bytes]], None]) -> None:
    """The forger has everything but the key. The tree fits the changed events, but the old signature does not."""
    directory, _ = exported
    change(directory, tamper)
    note = (directory / "checkpoint.txt").read_text()
    forged = resigned(directory, SIGNER).partition("\n\n")[0] + "\n\n" + note.partition("\n\n")[2]
    (directory / "checkpoint.txt").write_text(forged)
    answer = run(directory, "--key", KEY)
    assert (answer.returncode, "is not signed by" in answer.stderr) == (1, True)


async def test_another_key_of_the_same_name_is_found_out_by_the_key_that_one_has(exported: Exported) -> None:
    directory, kept = exported
    change(directory, two_swapped)
    forger = Signer("hourbook", Ed25519PrivateKey.generate())
    (directory / "checkpoint.txt").write_text(resigned(directory, forger))
    (directory / "key.txt").write_text(forger.verifier.text() + "\n")
    assert run(directory).returncode == 0  # the export's own key is the forger's, so it proves nothing
    assert run(directory, "--key", KEY).returncode == 1
    assert run(directory, "--kept", kept).returncode == 1


@pytest.mark.parametrize("tamper", [one_byte, one_dropped, two_swapped, a_line_split])
async def test_a_history_rewritten_by_whoever_has_the_key_is_found_out_by_a_kept_checkpoint(
    exported: Exported, tamper: Callable[[list[bytes]], None]
) -> None:
    directory, kept = exported
    change(directory, tamper)
    (directory / "checkpoint.txt").write_text(resigned(directory, SIGNER))
    assert run(directory, "--key", KEY).returncode == 0
    answer = run(directory, "--key", KEY, "--kept", kept)
    assert (answer.returncode, "the first 200 events were changed since" in answer.stderr) == (1, True)


async def test_a_history_that_lost_its_tail_is_found_out_by_a_kept_checkpoint(exported: Exported) -> None:
    directory, kept = exported
    change(directory, lambda lines: lines.__delitem__(slice(120, None)))
    (directory / "checkpoint.txt").write_text(resigned(directory, SIGNER))
    answer = run(directory, "--key", KEY, "--kept", kept)
    assert (answer.returncode, "was signed over 200 events, and this export has only 120" in answer.stderr) == (1, True)


async def test_what_is_missing_is_not_taken_for_good(exported: Exported) -> None:
    directory, _ = exported
    for name in ("checkpoint.txt", "events.ndjson"):
        kept = (directory / name).read_bytes()
        (directory / name).unlink()
        assert run(directory, "--key", KEY).returncode == 1
        (directory / name).write_bytes(kept)
    assert run(directory, "--key", "nonsense").returncode == 1
    assert run(directory, "--key", KEY.replace("hourbook", "other")).returncode == 1


async def test_an_export_does_not_overwrite_and_needs_a_checkpoint(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(NothingToExport, match="no signed checkpoint"):
        await asyncio.to_thread(export, as_role(database_url, "query"), tmp_path / "new")
    (tmp_path / "file").touch()
    with pytest.raises(NothingToExport, match="not empty"):
        await asyncio.to_thread(export, as_role(database_url, "query"), tmp_path)


def change(directory: Path, tamper: Callable[[list[bytes]], None]) -> None:
    file = directory / "events.ndjson"
    lines = file.read_bytes().splitlines(keepends=True)
    before = list(lines)
    tamper(lines)
    assert lines != before
    file.write_bytes(b"".join(lines))


def resigned(directory: Path, signer: Signer) -> str:
    """A new checkpoint of the lines as they are now, signed by `signer`."""
    tree, lines = Tree(), (directory / "events.ndjson").read_bytes().split(b"\n")[:-1]
    tree.extend(hash_leaves(lines))
    return signer.sign(tree.size, tree.root())
