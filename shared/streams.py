"""A stream of ours in JetStream: made when there is none, and kept so that nobody deletes from it."""

from __future__ import annotations

from nats.js import JetStreamContext
from nats.js.api import StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

# Neither a message nor all messages can be deleted. The server takes these settings and never lets them be taken back.
KEPT = {"deny_delete": True, "deny_purge": True}


async def keep_stream(context: JetStreamContext, config: StreamConfig) -> StreamInfo:
    """The stream of this name, which is made if there is none. Raises NATS's errors.

    A stream of an earlier version gets the settings that it lacks, if the server allows that. Nothing else of a stream
    that is there is changed.
    """
    assert config.name is not None
    try:
        info = await context.stream_info(config.name)
    except NotFoundError:
        return await context.add_stream(config.evolve(**KEPT))
    if is_kept(info.config) or info.config.sealed:
        return info
    try:
        return await context.update_stream(info.config.evolve(**KEPT))
    except APIError:
        return info


def is_kept(config: StreamConfig) -> bool:
    """Whether the stream refuses to delete messages."""
    return bool(config.deny_delete and config.deny_purge)
