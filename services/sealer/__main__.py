"""`python -m services.sealer`: signs checkpoints of the history until SIGTERM."""

from __future__ import annotations

import sys

from services.sealer.app import serve
from services.sealer.settings import Settings
from shared import tracing
from shared.audit.notes import BadKey
from shared.http.monitoring import PortTaken
from shared.http.server_settings import CannotServe
from shared.process import log_and_trace, run, settings_or_exit


def main() -> None:
    log_and_trace("sealer")
    settings = settings_or_exit(Settings)
    try:
        run(serve(settings))
    except BadKey as error:
        sys.exit(f"hourbook: HOURBOOK_AUDIT_KEY_FILE: {error} (`openssl genpkey -algorithm ed25519` makes one)")
    except (PortTaken, CannotServe) as error:
        sys.exit(f"hourbook: {error}")
    finally:
        tracing.end()


if __name__ == "__main__":
    main()
