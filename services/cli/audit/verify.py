#!/usr/bin/env python3
"""Verifies an export of Hourbook. Needs only Python's standard library, hence argparse.

    python verify.py [DIRECTORY] [--key KEY] [--kept CHECKPOINT]...

It hashes every line of events.ndjson into the Merkle tree (RFC 6962: SHA-256 of a zero byte and the line without its
newline), compares the root with checkpoint.txt and checks the Ed25519 signature of checkpoint.txt (RFC 8032).
KEY is the public key that you were given (NAME+KEYID+KEY, or a file that holds it). Without it, the export's own
key.txt is trusted. CHECKPOINT is a checkpoint.txt of an earlier export: this history must begin with the same events.
"""

from __future__ import annotations

import argparse
import base64
import sys
from hashlib import sha256, sha512
from pathlib import Path

# The curve Ed25519: the prime, the order of the base point, the constant d, the square root of -1.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, MINUS_ONE_ROOT = -121665 * pow(121666, P - 2, P) % P, pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]  # extended coordinates X, Y, Z, T of the twisted Edwards curve


class Wrong(Exception):
    """The export does not verify. The message says why."""


def decode_point(encoded: bytes) -> Point | None:
    """The point of 32 bytes; None when they are no point of the curve."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * MINUS_ONE_ROOT % P
    if y >= P or (x * x - x2) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar: int, p: Point) -> Point:
    total: Point = (0, 1, 1, 0)
    while scalar:
        total = add(total, p) if scalar & 1 else total
        p, scalar = add(p, p), scalar >> 1
    return total


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the Ed25519 signature of the message is valid."""
    a, r, s = decode_point(public), decode_point(signature[:32]), int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or len(public) != 32 or a is None or r is None or BASE is None or s >= L:
        return False
    k = int.from_bytes(sha512(signature[:32] + public + message).digest(), "little") % L
    one, other = times(s, BASE), add(r, times(k, a))
    return not (one[0] * other[2] - other[0] * one[2]) % P and not (one[1] * other[2] - other[1] * one[2]) % P


def open_note(file: Path, keys: list[str]) -> tuple[int, bytes, str]:
    """The size and the root of a checkpoint (C2SP signed-note), and the key of `keys` that signed it. Raises Wrong."""
    text, _, signatures = file.read_text(encoding="utf-8").rpartition("\n\n")
    for key in keys:
        name, key_id, encoded = key.split("+", 2)
        public = base64.b64decode(encoded)
        if public[:1] != b"\x01" or sha256(f"{name}\n".encode() + public).hexdigest()[:8] != key_id:
            raise Wrong(f"{key} is not an Ed25519 key of a signed note")
        for line in signatures.splitlines():
            signature = base64.b64decode(line.rpartition(" ")[2]) if line.startswith(f"\u2014 {name} ") else b""
            if signature[:4].hex() == key_id and signed(public[1:], f"{text}\n".encode(), signature[4:]):
                _, size, root, *_ = text.split("\n")
                return int(size), base64.b64decode(root), key
    raise Wrong(f"{file} is not signed by {' or '.join(keys)}")


def roots_of(events: Path, sizes: set[int]) -> tuple[int, dict[int, bytes]]:
    """The number of events, and for each of `sizes` the root over that many first events."""
    edge: list[bytes] = []  # edge[h]: the complete node of height h without a right sibling, or empty
    count, roots = 0, {}
    with events.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                raise Wrong("the last line is not complete: it does not end with a newline")
            node, height = sha256(b"\0" + line[:-1]).digest(), 0
            while height < len(edge) and edge[height]:
                node, edge[height], height = sha256(b"\1" + edge[height] + node).digest(), b"", height + 1
            edge[height : height + 1] = [node]
            count += 1
            if count in sizes:
                roots[count] = root_of(edge)
    return count, roots


def root_of(edge: list[bytes]) -> bytes:
    """The root over the complete nodes, the lowest one first."""
    root = b""
    for node in filter(None, edge):
        root = sha256(b"\1" + node + root).digest() if root else node
    return root


def verify(directory: Path, key: str | None, kept: list[Path]) -> list[str]:
    """The lines of the report. Raises Wrong at the first thing that does not verify."""
    file = Path(key or directory / "key.txt")
    keys = (file.read_text(encoding="utf-8") if file.is_file() else str(key)).split()
    size, root, signer = open_note(directory / "checkpoint.txt", keys)
    earlier = [(note, *open_note(note, keys)) for note in kept]
    count, roots = roots_of(directory / "events.ndjson", {size, *(note[1] for note in earlier)})
    for note, kept_size, kept_root, _ in earlier:
        if kept_size > count:
            raise Wrong(f"{note} was signed over {kept_size} events, and this export has only {count}")
        if roots[kept_size] != kept_root:
            raise Wrong(f"{note} was signed over other events: the first {kept_size} events were changed since")
    if count != size:
        raise Wrong(f"the checkpoint was signed over {size} events, and this export has {count}")
    if roots[size] != root:
        raise Wrong("the events are not those that the checkpoint was signed over")
    trust = "" if key else "\n           (the export's own key: compare it with the one that you were given)"
    found = [f"events     {count}", f"root       {base64.b64encode(root).decode()}", f"signed by  {signer}{trust}"]
    return found + [f"kept       {note}: it was signed over the first {of} events" for note, of, *_ in earlier]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--key")
    parser.add_argument("--kept", type=Path, action="append", default=[])
    options = parser.parse_args()
    try:
        print("\n".join(verify(options.directory, options.key, options.kept)) + "\nverified")
    except (Wrong, OSError, ValueError) as wrong:
        sys.exit(f"NOT VERIFIED: {wrong}")


if __name__ == "__main__":
    main()
