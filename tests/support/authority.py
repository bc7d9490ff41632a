"""A certificate authority of the test's own, and a server's certificate by it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import trustme


class Certificate(NamedTuple):
    """Files in PEM: the certificate, its key, and the authority that a client has to trust."""

    cert: Path
    key: Path
    authority: Path


def certificate(directory: Path, *names: str) -> Certificate:
    """A certificate for these names and addresses. `directory` must exist."""
    authority = trustme.CA()
    issued = authority.issue_cert(*names)
    made = Certificate(directory / "cert.pem", directory / "key.pem", directory / "ca.pem")
    made.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    made.key.touch(0o600)
    made.key.write_bytes(issued.private_key_pem.bytes())
    authority.cert_pem.write_to_path(made.authority)
    return made
