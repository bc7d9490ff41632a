"""A command handler that runs in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from services.command.handler.handler import CommandHandler
from shared.tasks import end_tasks
from tests.support.backends import as_role


@contextlib.asynccontextmanager
async def handling(database_url: str, **options: Any) -> AsyncIterator[CommandHandler]:
    """A handler that takes commands until the block ends, in the role of the command service. Options as it takes
    them."""
    handler = CommandHandler(as_role(database_url, "command"), **options)
    task = asyncio.create_task(handler.run())
    try:
        yield handler
    finally:
        await end_tasks(task)
