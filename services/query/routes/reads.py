"""`read`: a GET route that says which right it needs, takes the parameters of its handler, and refuses all others.

Litestar ignores a parameter that it does not know. A client that writes `tamplate=` would get an answer to another
question than it asked.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar, get_args

from litestar import Litestar, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from services.query.database import BROKEN, BeyondTheEnd, again
from services.query.routes.needs import Needs, if_allowed
from services.query.routes.parts import AnyRequest, given_in, parts_of
from shared.errors import InvalidField
from shared.host_race import NoHostTaken
from shared.http.answers import ANSWERS, Answers
from shared.http.problems import GIVEN_MAX, parameter_names, route_parameters

C = TypeVar("C")
R = TypeVar("R")
P = ParamSpec("P")
Handler = Callable[Concatenate[C, AnyRequest, P], Awaitable[R]]

WHOLE_NUMBER = re.compile(r"\d{1,19}", re.ASCII)
KNOWN = "known_parameters"
NEEDS = "needs"


class Known(NamedTuple):
    """The query parameters of a route, by their names in the address. `numbers` are those that are whole numbers."""

    names: frozenset[str]
    numbers: frozenset[str]


def read(path: str, summary: str, answers: Answers, needs: Needs) -> Callable[[Handler[C, P, R]], HTTPRouteHandler]:
    """A GET route of a controller. Its first argument is the request; its docstring is the description in OpenAPI.
    `answers` is what it answers, `needs` the right that a principal needs for it.

    Until the handler returns, nothing is sent. So it is called again when the database broke the read off, and when a
    standby does not have yet what the request names.
    """

    def route(handler: Handler[C, P, R]) -> HTTPRouteHandler:
        @wraps(handler)
        async def checked(self: C, request: AnyRequest, *args: P.args, **kwargs: P.kwargs) -> R:
            refuse_unknown(request)
            try:
                return await allowed(self, request, *args, **kwargs)
            except NoHostTaken:
                raise
            except BROKEN:
                return await again(lambda: allowed(self, request, *args, **kwargs))
            except BeyondTheEnd:
                if (standby := parts_of(request).standby) is None:
                    raise
                await standby.caught_up()
                return await again(lambda: allowed(self, request, *args, **kwargs))

        async def allowed(self: C, request: AnyRequest, *args: P.args, **kwargs: P.kwargs) -> R:
            parts = parts_of(request)
            if parts.standby is not None:
                parts.standby.check()
            if parts.rights is None or needs.right is None:
                return await handler(self, request, *args, **kwargs)
            return await if_allowed(
                parts.rights, request, needs, needs.right, lambda: handler(self, request, *args, **kwargs)
            )

        return get(path, summary=summary, media_type=answers.media_type, opt={NEEDS: needs, ANSWERS: answers})(checked)

    return route


class Undeclared(Exception):
    """A route does not say which right it needs."""


def check_declared(app: Litestar, public: Iterable[str]) -> None:
    """Raises Undeclared for a GET route that says no right in its `opt`. Of the others, `public` are the paths that
    need no principal; one that ends with a slash stands for all paths below it."""
    exact, below = frozenset(public), tuple(path for path in public if path.endswith("/") and path != "/")
    for route in app.routes:
        if isinstance(route, HTTPRoute) and not route.path.startswith(below) and route.path not in exact:
            handler, _ = route.route_handler_map.get("GET", (None, None))
            if handler is not None and not isinstance(handler.opt.get(NEEDS), Needs):
                raise Undeclared(f"GET {route.path}: say in @read, or in `opt`, which right it needs")


def learn_parameters(app: Litestar) -> None:
    """Notes at each route which query parameters it takes. They come from Litestar's own model of the route."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                names = frozenset(parameter.field_alias for parameter in model.expected_query_params)
                handler.opt[KNOWN] = Known(names, names & numbers_of(handler))


def numbers_of(handler: Any) -> frozenset[str]:
    """The parameters of a route that are whole numbers, by their names in the address."""
    called = parameter_names(handler)
    return frozenset(
        called.get(name, name)
        for name, parameter in route_parameters(handler).items()
        if int in (parameter.annotation, *get_args(parameter.annotation))
    )


def refuse_unknown(request: AnyRequest) -> None:
    """Raises InvalidField for a parameter that the route does not take, for one that is given twice, and for a number
    that is not written in digits."""
    given = given_in(request)
    if not len(given):
        return
    known: Known = request.route_handler.opt[KNOWN]
    names = set(given)
    if wrong := names - known.names:
        there = ", ".join(sorted(known.names)) or "none"
        raise InvalidField(min(wrong), f"there is no such parameter here; there are {there}")
    if len(names) < len(given):
        raise InvalidField(next(name for name in given if len(given.getall(name)) > 1), "give it once")
    for name in names & known.numbers:
        if not WHOLE_NUMBER.fullmatch(given[name]):  # 1e3 and 1.0 are numbers to the framework
            raise InvalidField(name, f"{given[name][:GIVEN_MAX]!r} is not a whole number in digits")
