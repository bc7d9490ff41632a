"""`python -m services.sealer`: seals the history until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import msgspec

from services.sealer.app import serve
from services.sealer.settings import Settings
from shared.audit.notes import BadKey
from shared.settings import settings_from


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = settings_from(os.environ, Settings)
    except msgspec.ValidationError as error:
        sys.exit(f"hourbook: the settings HOURBOOK_… are not right: {error}")
    try:
        asyncio.run(serve(settings))
    except BadKey as error:
        sys.exit(f"hourbook: HOURBOOK_AUDIT_KEY_FILE: {error} (`openssl genpkey -algorithm ed25519` makes one)")


if __name__ == "__main__":
    main()
