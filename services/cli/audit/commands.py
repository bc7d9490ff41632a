"""`hourbook audit verify`, `audit export` and `audit key`."""

from __future__ import annotations

import os
import time
from itertools import chain
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import Parameter

from services.cli.failure import Failure
from services.cli.run import replace_process
from services.cli.up.database import database_of
from services.cli.up.directory import DataDir
from services.cli.up.servers import DATABASE, redacted
from shared.audit.notes import BadKey, Signer, ensure_key, load_key
from shared.errors import words_of
from shared.postgres import LOST_OR_REFUSED
from shared.progress_bar import progress_bar

T = TypeVar("T")
Several = Annotated[tuple[T, ...], Parameter(negative=(), show_default=False)]


def verify(*, key: Several[str] = (), kept: Several[Path] = (), data_dir: DataDir = None) -> None:
    """
    Parameters
    ----------
    key
        A public key to trust, as NAME+KEYID+KEY. Default: the keys in the database itself.
    kept
        The file of an earlier checkpoint. The history must begin with the events that it was signed over.
    """
    os.environ[DATABASE] = database_of(data_dir, "projector")
    options = [("--key", one) for one in key] + [("--kept", str(file)) for file in kept]
    replace_process("services.projector", "verify", *chain.from_iterable(options))


def export(directory: Path, /, *, data_dir: DataDir = None) -> None:
    """
    Parameters
    ----------
    directory
        The directory to write. It must be empty or not exist.
    """
    from services.cli.audit.export import NothingToExport
    from services.cli.audit.export import export as write

    url, began = database_of(data_dir, "query"), time.monotonic()
    try:
        with progress_bar() as tell:
            exported = write(url, directory, tell)
    except (NothingToExport, LookupError) as error:
        raise Failure(str(error)) from None
    except LOST_OR_REFUSED as error:
        raise Failure(redacted(words_of(error), url)) from None
    seconds = time.monotonic() - began
    rate = exported.size / seconds
    print(f"{exported.size:,} events, {exported.bytes / 1e6:,.1f} MB in {seconds:.1f} s ({rate:,.0f} events/s)")
    print(f"to verify it: python {directory / 'verify.py'} --key KEY")


def key(file: Path, /, *, origin: str = "hourbook") -> None:
    """
    Parameters
    ----------
    file
        The file of the private key (HOURBOOK_AUDIT_KEY_FILE). It is made when it does not exist; only its owner may
        read it.
    origin
        The name of the ledger in its checkpoints (HOURBOOK_AUDIT_ORIGIN).
    """
    try:
        ensure_key(file)
        print(Signer(origin, load_key(file)).verifier.text())
    except (BadKey, OSError) as error:
        raise Failure(str(error)) from None
