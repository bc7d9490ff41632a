"""The framework's application, but that a slash within a name in a path stays in the name.

The framework looks at a path whose %2F have become slashes already, and so `/accounts/team%2Fada/usage` would be
another place than the client meant.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from litestar import Litestar, Request

KEPT = "kept_slash"
# None of these is a letter; the first that is not in the path stands for a slash while the route is looked for.
STAND_INS = [chr(code) for code in range(0xFDD0, 0xFDF0)]


class Application(Litestar):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if b"%2" in scope.get("raw_path", b"") and b"%2f" in scope["raw_path"].lower():
            keep_slashes(scope)
        await super().__call__(scope, receive, send)


class Asked(Request[Any, Any, Any]):
    """A request whose route is found: what stood for a slash is one again."""

    __slots__ = ()

    def __init__(self, scope: Any, *arguments: Any, **options: Any) -> None:
        if (kept := scope.get("state", {}).pop(KEPT, None)) is not None:
            scope["path"] = scope["path"].replace(kept, "/")
            scope["path_params"] = {
                name: value.replace(kept, "/") if isinstance(value, str) else value
                for name, value in scope["path_params"].items()
            }
        super().__init__(scope, *arguments, **options)


def keep_slashes(scope: Any) -> None:
    segments = [unquote(segment) for segment in scope["raw_path"].decode("latin-1").split("/")]
    kept = next((one for one in STAND_INS if not any(one in segment for segment in segments)), None)
    if kept is not None:
        scope["path"] = "/".join(segment.replace("/", kept) for segment in segments)
        scope["state"] = {**scope.get("state", {}), KEPT: kept}
