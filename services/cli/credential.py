"""The credential with which the command line signs in to Hourbook: HOURBOOK_TOKEN, or the file HOURBOOK_TOKEN_FILE."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from services.cli.failure import Failure

TOKEN, TOKEN_FILE = "HOURBOOK_TOKEN", "HOURBOOK_TOKEN_FILE"
BYTES_MAX = 64 * 1024

Headers = Mapping[str, str]


def credential_headers(environment: Mapping[str, str]) -> Headers:
    """The headers of a request that sign it; none where the environment names no credential. Raises Failure."""
    token, file = environment.get(TOKEN, ""), environment.get(TOKEN_FILE, "")
    if token and file:
        raise Failure(f"{TOKEN} and {TOKEN_FILE} are both set: set one of them")
    if not token and not file:
        return {}
    return bearer(token, TOKEN) if token else bearer(read_private(Path(file)), TOKEN_FILE)


def bearer(token: str, source: str) -> Headers:
    """The header for a token. Raises Failure for what cannot be one; `source` names where it comes from."""
    token = token.strip()
    if not token or not all("!" <= character <= "~" for character in token):
        raise Failure(f"{source} is no token: it must be one word of plain characters, such as hbk_…")
    return {"Authorization": f"Bearer {token}"}


def read_private(file: Path) -> str:
    """The text of a file that nobody but its owner may read. Raises Failure."""
    try:
        with file.open("rb") as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                raise Failure(f"{TOKEN_FILE}: other users may read {file}: chmod 600 {file}")
            content = opened.read(BYTES_MAX + 1)
    except OSError as error:
        raise Failure(f"{TOKEN_FILE}: cannot read {file}: {error.strerror}") from None
    if len(content) > BYTES_MAX:
        raise Failure(f"{TOKEN_FILE}: {file} is too large to be a token")
    return content.decode("latin-1")
