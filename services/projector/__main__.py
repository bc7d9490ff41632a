"""`python -m services.projector`: projects until it is told to stop; with `rebuild`, builds the read models anew."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys

import msgspec

from services.projector.app import serve
from services.projector.consumer import Parked
from services.projector.monitor import PortTaken
from services.projector.rebuild import AlreadyRebuilding, rebuild
from services.projector.settings import Settings
from shared.settings import settings_from


def main() -> None:
    gc.set_threshold(100_000, 50, 50)  # a batch makes many objects that live just as long as it, and no cycles
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = settings_from(os.environ, Settings)
    except msgspec.ValidationError as error:
        sys.exit(f"hourbook: the settings HOURBOOK_… are not right: {error}")
    if sys.argv[1:] == ["rebuild"]:
        try:
            asyncio.run(_rebuild(settings))
        except (AlreadyRebuilding, Parked) as error:
            sys.exit(f"hourbook: {error}")
    elif sys.argv[1:]:
        sys.exit("usage: python -m services.projector [rebuild]")
    else:
        try:
            asyncio.run(serve(settings))
        except PortTaken as error:
            sys.exit(f"hourbook: {error}")


async def _rebuild(settings: Settings) -> None:
    rebuilt = await rebuild(settings.database_url, lambda done, head: print(f"rebuild: {done} of {head} events"))
    rate = rebuilt.position / rebuilt.seconds
    print(f"generation {rebuilt.generation} is live at position {rebuilt.position}: {rebuilt.seconds:.1f} s, "
          f"{rate:,.0f} events/s; the live tables stood still for {rebuilt.switch_seconds:.2f} s")  # fmt: skip
    if rebuilt.differences:
        print(f"the old tables were not what the history gives: {', '.join(rebuilt.differences)}")


if __name__ == "__main__":
    main()
