"""The examples: what users choose the names of cannot lead them elsewhere."""

import runpy
from pathlib import Path

import httpx
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("user", "name", "path"),
    [
        ("ada", "", b"/hub/api/users/ada/server"),
        ("ada", "..", b"/hub/api/users/ada/servers/%2E%2E"),
        ("ada", "x/../../bob/server?y#z", b"/hub/api/users/ada/servers/x%2F%2E%2E%2F%2E%2E%2Fbob%2Fserver%3Fy%23z"),
        ("../bob", "", b"/hub/api/users/%2E%2E%2Fbob/server"),
    ],
)
def test_the_name_of_a_server_is_one_step_of_the_path_to_it(user: str, name: str, path: bytes) -> None:
    path_of = runpy.run_path(str(EXAMPLES / "jupyterhub/end_servers.py"))["path_of"]
    with httpx.Client(base_url="http://hub.invalid/hub/api") as hub:
        assert hub.build_request("DELETE", path_of(user, name)).url.raw_path == path
