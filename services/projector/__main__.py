"""`python -m services.projector`: projects until it is told to stop; with `rebuild`, builds the read models anew;
with `verify`, recomputes everything from the stored bytes and compares.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from pathlib import Path

from services.projector.app import serve
from services.projector.consumer import Parked
from services.projector.monitor import PortTaken
from services.projector.rebuild.rebuild import AlreadyRebuilding, rebuild
from services.projector.rebuild.report import screen
from services.projector.rebuild.verification import Kept, verify
from services.projector.settings import Settings
from shared.audit.notes import BadKey
from shared.process import log_to_stderr, settings_or_exit


def main() -> None:
    gc.set_threshold(100_000, 50, 50)  # a batch makes many objects that live just as long as it, and no cycles
    log_to_stderr()
    settings = settings_or_exit(Settings)
    if sys.argv[1:] == ["rebuild"]:
        try:
            asyncio.run(_rebuild(settings))
        except (AlreadyRebuilding, Parked) as error:
            sys.exit(f"hourbook: {error}")
    elif sys.argv[1:2] == ["verify"]:
        sys.exit(_verify(settings, sys.argv[2:]))
    elif sys.argv[1:]:
        sys.exit("usage: python -m services.projector [rebuild | verify]")
    else:
        try:
            asyncio.run(serve(settings))
        except PortTaken as error:
            sys.exit(f"hourbook: {error}")


async def _rebuild(settings: Settings) -> None:
    rebuilt = await rebuild(settings.database_url, lambda done, head: print(f"rebuild: {done} of {head} events"))
    rate = rebuilt.position / rebuilt.seconds
    print(
        f"generation {rebuilt.generation} is live at position {rebuilt.position}: {rebuilt.seconds:.1f} s, "
        f"{rate:,.0f} events/s; the live tables stood still for {rebuilt.switch_seconds:.2f} s"
    )
    if rebuilt.differences is None:
        print("the old tables were behind, and were not compared")
    elif rebuilt.differences:
        print(f"the old tables were not what the history gives: {', '.join(rebuilt.differences)}")


def _verify(settings: Settings, arguments: list[str]) -> int:
    """The exit status: 0 when all holds."""
    parser = argparse.ArgumentParser(prog="hourbook audit verify")
    parser.add_argument("--key", action="append", help="a public key that is trusted; default: the database's own")
    parser.add_argument("--kept", type=Path, action="append", default=[], help="a checkpoint that you kept")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        kept = [Kept(str(file), file.read_text(encoding="utf-8")) for file in options.kept]
        report = asyncio.run(verify(settings.database_url, kept, options.key, _tell))
    except (AlreadyRebuilding, BadKey, LookupError, OSError) as error:
        sys.exit(f"hourbook: {error}")
    finally:
        print("\r\033[K" if sys.stderr.isatty() else "", end="", file=sys.stderr)
    print("\n".join(screen(report, time.monotonic() - began)))
    return 0 if report.holds else 1


def _tell(what: str, done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{what}: {done:,} of {of:,} events", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
