"""A stream of ours in JetStream: made when there is none, and kept so that nobody deletes from it."""

from __future__ import annotations

from typing import NamedTuple

from nats.js import JetStreamContext
from nats.js.api import StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

# Neither a message nor all messages can be deleted. The server takes these settings and never lets them be taken back.
KEPT = {"deny_delete": True, "deny_purge": True}
REPLICAS = "HOURBOOK_STREAM_REPLICAS"
# "no suitable peers for placement", "insufficient resources", "replicas > 1 not supported in non-clustered mode".
TOO_FEW_SERVERS = (10005, 10023, 10074)


class TooFewServers(APIError):
    """The stream cannot be made, because the cluster has fewer servers than it should have replicas."""

    def __str__(self) -> str:
        return str(self.description)


class Kept(NamedTuple):
    """A stream as it is now. `wrong` says why it has not the number of replicas that it should have, if it has not."""

    info: StreamInfo
    wrong: str | None


async def keep_stream(context: JetStreamContext, config: StreamConfig, replicas: int | None) -> Kept:
    """The stream of this name, which is made if there is none. Raises TooFewServers and NATS's other errors.

    A stream of an earlier version gets the settings that it lacks, if the server allows that. A stream with another
    number of replicas gets `replicas`; None leaves it as it is, and a new stream has one. Nothing else of a stream that
    is there is changed.
    """
    assert config.name is not None
    try:
        info = await context.stream_info(config.name)
    except NotFoundError:
        return await _made(context, config, replicas or 1)
    wanted = {} if is_kept(info.config) or info.config.sealed else KEPT
    if wanted:
        info = await _updated(context, info, **wanted)
    if replicas is None or info.config.num_replicas == replicas:
        return Kept(info, None)
    try:
        return Kept(await context.update_stream(info.config.evolve(num_replicas=replicas)), None)
    except APIError as error:
        return Kept(info, _wrong(config.name, f"has {info.config.num_replicas} replicas", replicas, error))


async def _made(context: JetStreamContext, config: StreamConfig, replicas: int) -> Kept:
    try:
        return Kept(await context.add_stream(config.evolve(**KEPT, num_replicas=replicas)), None)
    except APIError as error:
        if replicas == 1 or error.err_code not in TOO_FEW_SERVERS:
            raise
        error.description = _wrong(config.name, "is not there, and cannot be made", replicas, error)
        raise TooFewServers(error.code, error.description, error.err_code) from None


async def _updated(context: JetStreamContext, info: StreamInfo, **settings: bool) -> StreamInfo:
    try:
        return await context.update_stream(info.config.evolve(**settings))
    except APIError:
        return info


def _wrong(name: str | None, state: str, replicas: int, error: APIError) -> str:
    return (
        f"the stream {name} {state}, and {REPLICAS} is {replicas}: the server answers {error.description!r}. Start at "
        f"least {replicas} NATS servers as one cluster, or set {REPLICAS} to the number of servers"
    )


def is_kept(config: StreamConfig) -> bool:
    """Whether the stream refuses to delete messages."""
    return bool(config.deny_delete and config.deny_purge)


def lost_replicas(info: StreamInfo) -> str | None:
    """Which copies of a stream are not up to date; None if all are, or if there is one only."""
    replicas = (info.cluster.replicas if info.cluster is not None else None) or []
    behind = [f"{one.name} ({'offline' if one.offline else 'catches up'})" for one in replicas if not one.current]
    if not behind:
        return None
    return f"{len(behind)} of its {len(replicas) + 1} replicas are not up to date: {', '.join(sorted(behind))}"
