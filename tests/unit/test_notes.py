"""Signed checkpoints, against the test vectors of the specification."""

import base64
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.audit.notes import (
    BadKey,
    BadNote,
    Checkpoint,
    Signer,
    checkpoint_of,
    ensure_key,
    load_key,
    open_checkpoint,
    open_note,
    verifier_of,
)

# The key and the note of golang.org/x/mod/sumdb/note, which defined the format.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
NOTE = f"{TEXT}\n\u2014 PeterNeumann {SIGNATURE}\n"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ROOT = bytes(range(32, 64))


def test_a_note_of_the_reference_implementation_is_read() -> None:
    verifier = verifier_of(NEUMANN)
    assert verifier.text() == NEUMANN
    assert open_note(NOTE, verifier) == TEXT
    with pytest.raises(BadNote, match="not good"):
        open_note(NOTE.replace("answer", "Answer"), verifier)


def test_a_key_is_known_by_the_name_that_the_reference_implementation_gives_it() -> None:
    signer = Signer("PeterNeumann", Ed25519PrivateKey.from_private_bytes(NEUMANN_SEED))
    assert signer.verifier.text() == NEUMANN


def test_a_signed_checkpoint_is_read_back() -> None:
    signer = Signer("hourbook", KEY)
    note = signer.sign(1041, ROOT)
    assert note.startswith(f"hourbook\n1041\n{base64.b64encode(ROOT).decode()}\n\n\u2014 hourbook ")
    assert open_checkpoint(note, verifier_of(signer.verifier.text())) == Checkpoint("hourbook", 1041, ROOT)


@pytest.mark.parametrize(
    "change", [("1041", "1042"), ("hourbook\n1", "hourbooK\n1"), ("ICEi", "ICEj"), ("\n\n", "\nmore\n\n")]
)
def test_a_checkpoint_that_was_changed_is_refused(change: tuple[str, str]) -> None:
    signer = Signer("hourbook", KEY)
    note = signer.sign(1041, ROOT)
    assert change[0] in note
    with pytest.raises(BadNote):
        open_checkpoint(note.replace(change[0], change[1], 1), signer.verifier)


def test_another_key_of_the_same_name_is_another_signer() -> None:
    other = Signer("hourbook", Ed25519PrivateKey.generate())
    with pytest.raises(BadNote, match="not signed by"):
        open_checkpoint(other.sign(1041, ROOT), Signer("hourbook", KEY).verifier)


def test_signatures_of_others_are_passed_over() -> None:
    signer, witness = Signer("hourbook", KEY), Signer("witness", Ed25519PrivateKey.generate())
    countersigned = signer.sign(7, ROOT) + witness.sign(7, ROOT).rpartition("\n\n")[2]
    assert open_checkpoint(countersigned, signer.verifier).size == 7


@pytest.mark.parametrize("note", ["", "a\n", "a\n1\n\n", "hourbook\n1\nAAAA\n\n\u2014 hourbook !\n", "\n\n"])
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(BadNote):
        open_checkpoint(note, Signer("hourbook", KEY).verifier)


@pytest.mark.parametrize(
    "text", ["hourbook\n1\n", "hourbook\n01\n{}\n", "hourbook\n-1\n{}\n", "hourbook\n1\nAAAA\n", "\n1\n{}\n"]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(BadNote):
        checkpoint_of(text.format(base64.b64encode(ROOT).decode()))


@pytest.mark.parametrize(
    "text", ["", "a+b", NEUMANN.replace("c74f20a3", "c74f20a4"), NEUMANN[:-4], NEUMANN.replace("+AR", "+BR")]
)
def test_what_is_no_verifier_is_refused(text: str) -> None:
    with pytest.raises(BadKey):
        verifier_of(text)


@pytest.mark.parametrize("name", ["", "two words", "a+b"])
def test_a_name_that_a_note_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(BadKey):
        Signer(name, KEY)


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "audit.key"
    ensure_key(file)
    made = file.read_bytes()
    ensure_key(file)
    assert file.read_bytes() == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
    assert Signer("hourbook", load_key(file)).verifier.name == "hourbook"


def test_a_file_that_holds_no_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadKey, match="nothing"):
        load_key(tmp_path / "nothing")
    (tmp_path / "text").write_text("not a key")
    with pytest.raises(BadKey, match="text"):
        load_key(tmp_path / "text")
