"""The configuration of JupyterHub in tests: that of the example, without a proxy, with a server that answers at once.

The hub's own proxy needs Node. The tests ask the hub's interface and the servers themselves, so nothing has to be
routed: this proxy only remembers its routes.
"""

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

from jupyterhub.proxy import Proxy  # type: ignore[import-not-found,unused-ignore]

ROOT = Path(__file__).parents[2]
FOLDER, PORT = Path(os.environ["HUB_FOLDER"]), int(os.environ["HUB_PORT"])


class NoProxy(Proxy):  # type: ignore[misc,unused-ignore]
    """Remembers its routes and sends nothing anywhere."""

    routes: ClassVar[dict[str, dict[str, Any]]] = {}
    should_start = False

    async def add_route(self, routespec: str, target: str, data: dict[str, Any]) -> None:
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec: str) -> None:
        self.routes.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, dict[str, Any]]:
        return self.routes


c = get_config()  # type: ignore[name-defined]  # noqa: F821
load_subconfig(str(ROOT / "examples/jupyterhub/jupyterhub_config.py"))  # type: ignore[name-defined]  # noqa: F821
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(FOLDER / "{username}")
c.Spawner.cmd = [sys.executable, str(Path(__file__).with_name("hub_server.py"))]
c.JupyterHub.hub_port = PORT
c.JupyterHub.bind_url = f"http://127.0.0.1:{PORT + 1}"  # where a proxy would listen
c.JupyterHub.db_url = f"sqlite:///{FOLDER / 'hub.sqlite'}"
c.JupyterHub.cookie_secret = os.urandom(32)
c.JupyterHub.services += [{"name": "test", "api_token": os.environ["HUB_TOKEN"]}]
c.JupyterHub.load_roles += [{"name": "test", "scopes": ["admin:users", "admin:servers", "proxy"], "services": ["test"]}]
