"""Signed checkpoints: C2SP tlog-checkpoint notes with an Ed25519 signature (c2sp.org/signed-note).

    hourbook
    1041
    qINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=

    — hourbook x08go/ZJkuBS9UG/SffcvIAQxVBtiFup…

The lines: the origin (the name of the log), the number of events, the root of the tree over them; then a signature.
"""

from __future__ import annotations

import base64
import binascii
import os
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

ED25519 = b"\x01"
DASH = "\u2014 "


class BadNote(ValueError):
    """The text is no signed note, or it has no valid signature of the key."""


class BadKey(ValueError):
    """A key file or a verifier is not valid."""


class Checkpoint(NamedTuple):
    """`root` is the root of the tree over the first `size` events of the log `origin`."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class Verifier(NamedTuple):
    """A public key, and the name that stands before its signatures."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def text(self) -> str:
        """The verifier as `name+key id+key`, to give to others."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"


class Signer:
    """Signs checkpoints of the log `origin`, under that name."""

    def __init__(self, origin: str, key: Ed25519PrivateKey) -> None:
        if not origin or "+" in origin or any(character.isspace() for character in origin):
            raise BadKey(f"{origin!r} cannot be a log's name: it must have no space and no +")
        self.origin, self._key = origin, key
        self.verifier = Verifier(origin, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, size: int, root: bytes) -> str:
        """A signed checkpoint, as a note."""
        text = Checkpoint(self.origin, size, root).text()
        signature = base64.b64encode(self.verifier.key_id + self._key.sign(text.encode())).decode()
        return f"{text}\n{DASH}{self.origin} {signature}\n"


def verifier_of(text: str) -> Verifier:
    """The inverse of `Verifier.text()`. Raises BadKey."""
    try:
        name, key_id, key = text.strip().split("+", 2)
        decoded = base64.b64decode(key, validate=True)
    except (ValueError, binascii.Error):
        raise BadKey(f"{text.strip()!r} is not a public key: give it as NAME+KEYID+KEY") from None
    verifier = Verifier(name, decoded[1:])
    if decoded[:1] != ED25519 or len(decoded) != 33 or verifier.key_id.hex() != key_id:
        raise BadKey(f"{name!r} is not followed by the id and the bytes of an Ed25519 key")
    return verifier


def open_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """The checkpoint in a note that the key has signed. Raises BadNote."""
    return checkpoint_of(open_note(note, verifier))


def open_note(note: str, verifier: Verifier) -> str:
    """The text of a note that the key has signed. Ignores signatures of other keys. Raises BadNote."""
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise BadNote("it is no signed note")
    text += "\n"
    lines = [line.removeprefix(DASH) for line in signatures[:-1].split("\n") if line.startswith(DASH)]
    ours = [decoded for line in lines if (decoded := _signature(line, verifier)) is not None]
    if not ours:
        raise BadNote(f"it is not signed by {verifier.text()}")
    for signature in ours:
        try:
            Ed25519PublicKey.from_public_bytes(verifier.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            raise BadNote(f"the signature of {verifier.text()} is not good") from None
    return text


def _signature(line: str, verifier: Verifier) -> bytes | None:
    """The signature in a line; None if the line does not name this key."""
    name, _, encoded = line.partition(" ")
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    return decoded[4:] if name == verifier.name and decoded[:4] == verifier.key_id else None


def checkpoint_of(text: str) -> Checkpoint:
    """Parses the text of a checkpoint. Ignores the lines after the third one: they are extensions. Raises BadNote."""
    try:
        origin, size, root, *_ = text.split("\n")
        checkpoint = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    except (ValueError, binascii.Error):
        raise BadNote("it is no checkpoint") from None
    if not origin or str(checkpoint.size) != size or checkpoint.size < 0 or len(checkpoint.root) != 32:
        raise BadNote("it is no checkpoint")
    return checkpoint


def load_key(path: Path) -> Ed25519PrivateKey:
    """A private key in PEM (PKCS #8), as `openssl genpkey -algorithm ed25519` makes it. Raises BadKey."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise BadKey(f"{path}: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(f"{path} holds a key, but no Ed25519 key")
    return key


def ensure_key(path: Path) -> None:
    """Makes the key file if there is none. Only its owner may read it. A kill leaves no half-written file."""
    if path.exists():
        return
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
