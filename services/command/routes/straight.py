"""From the router straight to a route, past what the framework does for routes of every kind.

The framework collects the arguments of a route, compares them with a model, and converts the answer. A route that takes
only its request and its body, and answers an EncodedResponse, needs none of that. A booking takes less time without it.
"""

from __future__ import annotations

from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from services.command.routes.bodies import CommandRequest


class Straight:
    """Middleware of such a route. Used for the route that most requests ask for. Signing in, the router and the errors
    are the same as those of other routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = CommandRequest(scope, receive, send)
        if not await request.body():  # the framework says what is missing
            await self._app(scope, receive, send)
            return
        handler: Any = request.route_handler
        response = await handler.fn(request=request, data=await request.json())
        await response.to_asgi_response()(scope, receive, send)
