"""`hourbook audit`: the history proves itself, here and to whoever takes an export away."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import Parameter

from services.cli.failure import Failure
from services.cli.run import become
from services.cli.up.directory import DataDirectory, default_directory
from services.cli.up.servers import DATABASE, redacted
from shared.audit.notes import BadKey, Signer, ensure_key, load_key
from shared.postgres import LOST_OR_REFUSED

T = TypeVar("T")
Several = Annotated[tuple[T, ...], Parameter(negative=(), show_default=False)]
DataDir = Annotated[Path | None, Parameter(help="The data directory of the `hourbook up` that is meant.")]


def verify(*, key: Several[str] = (), kept: Several[Path] = (), data_dir: DataDir = None) -> None:
    """Recompute everything from the stored events, and compare.

    Parameters
    ----------
    key
        A public key that is trusted, as NAME+KEYID+KEY. Default: the keys that the database itself names.
    kept
        A checkpoint that was kept from before: what it was signed over must be how the history begins.
    """
    os.environ[DATABASE] = database_of(data_dir)
    arguments = [part for one in key for part in ("--key", one)]
    become("services.projector", "verify", *arguments, *[part for file in kept for part in ("--kept", str(file))])


def export(directory: Path, /, *, data_dir: DataDir = None) -> None:
    """Write the history, its checkpoint and a program that verifies it into a directory.

    Parameters
    ----------
    directory
        Where to; it must be empty, or not there.
    """
    from services.cli.audit.export import NothingToExport
    from services.cli.audit.export import export as write

    url, began = database_of(data_dir), time.monotonic()
    try:
        exported = write(url, directory, tell)
    except (NothingToExport, LookupError) as error:
        raise Failure(str(error)) from None
    except LOST_OR_REFUSED as error:
        raise Failure(redacted(str(error) or type(error).__name__, url)) from None
    seconds = time.monotonic() - began
    rate = exported.size / seconds
    print(f"{exported.size:,} events, {exported.bytes / 1e6:,.1f} MB in {seconds:.1f} s ({rate:,.0f} events/s)")
    print(f"to verify it: python {directory / 'verify.py'} --key KEY")


def key(file: Path, /, *, origin: str = "hourbook") -> None:
    """Make a key to seal with, if the file is not there, and show its public key.

    Parameters
    ----------
    file
        Where the private key is, or will be: HOURBOOK_AUDIT_KEY_FILE. Only its owner may read it.
    origin
        The name of the ledger in its checkpoints: HOURBOOK_AUDIT_ORIGIN.
    """
    try:
        ensure_key(file)
        print(Signer(origin, load_key(file)).verifier.text())
    except (BadKey, OSError) as error:
        raise Failure(str(error)) from None


def database_of(data_dir: Path | None) -> str:
    """The database that the environment names, or that of the `hourbook up` that runs. Raises Failure."""
    if data_dir is None and (named := os.environ.get(DATABASE)):
        return named
    directory = DataDirectory(data_dir or default_directory(os.environ))
    run = directory.read_run()
    if run is None:
        raise Failure(
            f"nothing runs in {directory.path}: start `hourbook up`, name the --data-dir that it was given, "
            f"or set {DATABASE}"
        )
    return run.database_url


def tell(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{done:,} of {of:,} events", end="" if done < of else "\n", file=sys.stderr, flush=True)
