"""The real Blazar as a program: `blazar_calls.py CONFIGURATION`.

It loads Blazar's enforcement with the filters of the configuration, and calls it as Blazar's manager does. Each line of
the input is a call, `{"call": "check_create", "arguments": {…}}`; each line of the output says what came of it. It runs
in the environment of the dependency group `blazar`, and imports nothing of Hourbook.
"""

import json
import sys
import warnings
from datetime import datetime
from typing import Any

DATES = ("start_date", "end_date")


class Catalog:
    """Keystone's catalogue, as a context of Blazar has it."""

    def normalize_catalog(self) -> list[dict[str, Any]]:
        endpoint = {"interface": "internal", "region": "one", "region_id": "one", "url": "http://keystone.invalid/v3"}
        return [{"type": "identity", "name": "keystone", "endpoints": [endpoint]}]


def with_dates(lease: dict[str, Any]) -> dict[str, Any]:
    """The manager has read the dates: they are UTC, without a time zone."""
    return lease | {name: datetime.fromisoformat(lease[name]) for name in DATES if name in lease}


def main(configuration: str) -> None:
    warnings.simplefilter("ignore")
    from blazar import context, enforcement, exceptions
    from blazar.utils.openstack import keystone  # noqa: F401 - it registers the option os_region_name
    from oslo_config import cfg

    cfg.CONF([], project="blazar", default_config_files=[configuration])
    cfg.CONF.set_override("os_region_name", "one")
    ours = enforcement.UsageEnforcement()
    with context.BlazarContext(user_id="ada", project_id="p", service_catalog=Catalog()) as ctx:
        for line in sys.stdin:
            asked = json.loads(line)
            arguments = {
                name: with_dates(value) if name.startswith(("lease", "current_lease", "new_lease")) else value
                for name, value in asked["arguments"].items()
            }
            try:
                getattr(ours, asked["call"])(ctx, **arguments)
                said = {"allowed": True}
            except exceptions.BlazarException as refused:
                said = {"allowed": False, "message": str(refused), "status": refused.code}
            except Exception as error:  # what Blazar answers with an error of the server
                said = {"allowed": False, "error": type(error).__name__}
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
