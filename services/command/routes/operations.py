"""How a write stands in the OpenAPI document: its headers, its parameter and its answers beside the body."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import delete, post
from litestar.openapi.spec import Operation, Parameter, Schema
from litestar.openapi.spec.enums import OpenAPIType

from services.command.routes.headers import ACTOR, KEY
from services.command.routes.responses import Outcome, Previewed
from shared.http.openapi import response_spec
from shared.names import NAME_MAX, TEXT_MAX


class KeyedOperation(Operation):
    """A write that takes an idempotency key."""

    def to_schema(self) -> dict[str, Any]:
        own = super().to_schema()
        return own | {"parameters": own.get("parameters", []) + [one.to_schema() for one in self.beside()]}

    def beside(self) -> list[Parameter]:
        """The parameters that no function of a route names."""
        key = (
            "A text of your choice, new for each thing that you want done. A repeat with the same key is carried out"
            " once, and gets the first answer again, with the header `Idempotent-Replayed: true`. The same key with"
            " another request is refused."
        )
        actor = "Who asks: a person, a team or a program. It is kept in the history. Left out: `anonymous`."
        return [_header(KEY, key, TEXT_MAX), _header(ACTOR, actor, NAME_MAX)]


class CommandOperation(KeyedOperation):
    """A command, which may also be a dry run."""

    def beside(self) -> list[Parameter]:
        dry_run = "`true`: answer what would be decided, and store nothing."
        boolean = Schema(type=OpenAPIType.BOOLEAN)
        return [Parameter(name="dry_run", param_in="query", schema=boolean, description=dry_run), *super().beside()]


def _header(name: str, description: str, length: int) -> Parameter:
    text = Schema(type=OpenAPIType.STRING, max_length=length)
    return Parameter(name=name, param_in="header", schema=text, description=description)


NOTHING_NEW = response_spec(
    Outcome | Previewed,
    "Nothing new is stored. It is a repeat (the first answer), or it was so already (`decided` is empty), or it is a"
    " dry run (a `Previewed`).",
)
WITHDRAWN = response_spec(
    Outcome | Previewed,
    "It was carried out. Or nothing new is stored: it is a repeat, or it was so already, or it is a dry run (a"
    " `Previewed`).",
)
command_post = partial(
    post,
    operation_class=CommandOperation,
    response_description="It was carried out. The events are stored.",
    responses={200: NOTHING_NEW},
)
command_delete = partial(delete, operation_class=CommandOperation, status_code=200, responses={200: WITHDRAWN})
webhook_post = partial(post, operation_class=KeyedOperation)
webhook_delete = partial(delete, operation_class=KeyedOperation, status_code=200)
credential_post = partial(post, operation_class=KeyedOperation)
