"""The NATS users of Hourbook and what each may do. Every configuration of a server is made from this table.

All streams are in the account HOURBOOK. The users in that account are the relay's (it alone publishes events), the
projector's (it only listens) and the administrator's. Every other user has an account of its own, which sees nothing
but the subjects that are listed here. That matters: whoever sends a request names the subject of the answer, and the
server publishes the answer there. In the account HOURBOOK such an answer could become a message of a stream.
"""

from __future__ import annotations

import msgspec

from shared import notices
from shared.audit import stream as audit
from shared.jetstream import DOORBELL, NEWS, RELAYED, STREAM, SUBJECT

ACCOUNT = "HOURBOOK"
API = "$JS.API"
RELAY_INBOX = "_INBOX.command"
SUBSCRIBER = "subscriber-"  # the names of a subscriber's user and account begin so
# What a subscriber may do with its own consumers, which Hourbook has made.
CONSUMER_REQUESTS = ("CONSUMER.INFO", "CONSUMER.MSG.NEXT", "CONSUMER.RESET")
STREAMS = (STREAM, notices.STREAM, audit.STREAM)


class User(msgspec.Struct, frozen=True):
    """A user: the subjects on which it may publish and to which it may subscribe.

    `apart`: it has an account of its own. Then `publish` are the subjects of the account HOURBOOK that it reaches, and
    it may subscribe to anything, because in its account there is nothing but its own answers.
    """

    name: str
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    apart: bool = False

    @property
    def account(self) -> str:
        return f"{ACCOUNT}_{self.name.upper()}" if self.apart else ACCOUNT


def requests(stream: str, *kinds: str) -> tuple[str, ...]:
    """The subjects of requests about a stream: `INFO` is `$JS.API.STREAM.INFO.<stream>`."""
    return tuple(f"{API}.STREAM.{kind}.{stream}" for kind in kinds)


ADMIN = User("admin", publish=(">",), subscribe=(">",))
COMMAND = User(
    "command",
    publish=(
        f"{SUBJECT}.>",
        DOORBELL,
        NEWS,
        RELAYED,
        *requests(STREAM, "INFO", "CREATE", "UPDATE", "MSG.GET"),
        f"{API}.STREAM.NAMES",
    ),
    subscribe=(DOORBELL, RELAYED, f"{RELAY_INBOX}.>"),
)
PROJECTOR = User("projector", subscribe=(NEWS,))
NOTIFY = User(
    "notify", publish=(f"{notices.SUBJECT}.>", *requests(notices.STREAM, "INFO", "CREATE", "UPDATE")), apart=True
)
SEALER = User(
    "sealer",
    publish=(
        audit.SUBJECT,
        *requests(audit.STREAM, "INFO", "CREATE", "UPDATE", "MSG.GET"),
        *requests(STREAM, "INFO", "MSG.GET"),
    ),
    apart=True,
)
STATUS = User(
    "status",
    publish=(
        *requests(STREAM, "INFO", "MSG.GET"),
        *requests(audit.STREAM, "MSG.GET"),
        f"{API}.STREAM.NAMES",
        f"{API}.INFO",
    ),
    apart=True,
)
USERS = (ADMIN, COMMAND, PROJECTOR, NOTIFY, SEALER, STATUS)
SERVICES = (COMMAND, PROJECTOR, NOTIFY, SEALER)
# For one `hourbook up` on a server of your own, whose services share one address: what all services may, together.
TOGETHER = User(
    "hourbook",
    publish=tuple(dict.fromkeys(subject for user in (*SERVICES, STATUS) for subject in user.publish)),
    subscribe=(DOORBELL, NEWS, RELAYED, "_INBOX.>"),
)
