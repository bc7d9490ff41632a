"""The users as a NATS server's configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from shared.nats_access.users import ACCOUNT, API, CONSUMER_REQUESTS, STREAMS, SUBSCRIBER, User

# Inside an account, requests to JetStream would go to the account's own JetStream, and there is none. So they are
# renamed, and the new names lead to the account HOURBOOK.
RENAMED = "hourbook.api"
# A request for messages may wait long, and gets many answers.
MANY_ANSWERS = "CONSUMER.MSG.NEXT"
ORDERED = "-ordered"  # the names of consumers for programs that keep their own position end so
ROUTE = "route"  # the user as whom the servers of a cluster connect to each other
CLUSTER_LISTEN = '"0.0.0.0:6222"'
SERVER_NAME, ROUTES = "$HOURBOOK_NATS_SERVER_NAME", "$HOURBOOK_NATS_ROUTES"

Password = Callable[[str], str]


def variable(user: str) -> str:
    """The environment variable of a user's password, in deploy/nats.conf and deploy/compose.yaml."""
    return f"HOURBOOK_NATS_{user.upper()}_PASSWORD"


def from_environment(user: str) -> str:
    return f"${variable(user)}"


def cluster(server_name: str, routes: str, password: str, listen: str = CLUSTER_LISTEN) -> str:
    """The lines that make a server one of a cluster. All servers of the cluster have the same, but for their names.

    Each argument is as the configuration writes it, a quoted text or a variable. `routes` is a list of the addresses
    of all servers, with the user ROUTE and the password: `["nats://route:PASSWORD@nats-1:6222", …]`. Clients are not
    told the addresses of the other servers: those of Hourbook know them from HOURBOOK_NATS_URL.
    """
    lines = [
        f"server_name: {server_name}",
        "cluster {",
        "  name: hourbook",
        f"  listen: {listen}",
        "  no_advertise: true",
        f"  authorization: {{user: {ROUTE}, password: {password}}}",
        f"  routes: {routes}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def accounts(users: Iterable[User], password: Password, subscribers: Iterable[str] = ()) -> str:
    """The block `accounts` of the configuration.

    `password` gives a user's password as the configuration writes it: a quoted text or a variable. `subscribers` are
    more lines inside the block: those of `subscriber_account`, or an `include`.
    """
    users = tuple(users)
    lines = [
        "accounts {",
        *_indented(_main_account(users, password)),
        *_indented(line for user in users if user.apart for line in _own_account(user, password)),
        *_indented(subscribers),
        "}",
    ]
    return "\n".join(lines) + "\n"


def subscriber_account(name: str, password: str) -> list[str]:
    """The lines of a subscriber's account. It reaches its own consumers, which have its name, and nothing else."""
    imports = [
        subject
        for stream in STREAMS
        for consumer in consumers_on(stream, name)
        for subject in (
            *(f"{API}.{kind}.{stream}.{consumer}" for kind in CONSUMER_REQUESTS),
            f"$JS.ACK.{stream}.{consumer}.>",
        )
    ]
    return list(_account(f"{SUBSCRIBER}{name}", f"{SUBSCRIBER}{name}", password, imports))


def consumers_on(stream: str, name: str) -> tuple[str, ...]:
    """The names of a subscriber's consumers on a stream."""
    return (name, f"{name}{ORDERED}") if stream == STREAMS[0] else (name,)


def _main_account(users: tuple[User, ...], password: Password) -> Iterator[str]:
    yield f"{ACCOUNT} {{"
    yield "  jetstream: enabled"
    yield "  users: ["
    for user in users:
        if not user.apart:
            yield from _indented(_user(user, password(user.name)), 4)
    yield "  ]"
    yield "  exports: ["
    for user in users:
        if user.apart:
            for subject in user.publish:
                yield f"    {{service: {_text(subject)}, accounts: [{user.account}]}}"
    yield from _indented(_exports_to_subscribers(), 4)
    yield "  ]"
    yield "}"


def _exports_to_subscribers() -> Iterator[str]:
    """What a subscriber's account may import. Each imports only the subjects of its own consumers."""
    for stream in STREAMS:
        for kind in CONSUMER_REQUESTS:
            many = ", response: stream" if kind == MANY_ANSWERS else ""
            yield f"{{service: {_text(f'{API}.{kind}.{stream}.*')}{many}}}"
        yield f"{{service: {_text(f'$JS.ACK.{stream}.*.>')}}}"


def _user(user: User, password: str) -> Iterator[str]:
    yield f"{{user: {user.name}, password: {password}, permissions: {{"
    yield f"  publish: {_allowed(user.publish)}"
    yield f"  subscribe: {_allowed(user.subscribe)}"
    yield "}}"


def _allowed(subjects: tuple[str, ...]) -> str:
    return f"{{allow: [{', '.join(map(_text, subjects))}]}}" if subjects else '{deny: ">"}'


def _own_account(user: User, password: Password) -> Iterator[str]:
    return _account(user.account, user.name, password(user.name), user.publish)


def _account(account: str, user: str, password: str, imports: Iterable[str]) -> Iterator[str]:
    yield f"{account} {{"
    yield f"  users: [{{user: {user}, password: {password}}}]"
    yield f"  mappings: {{{_text(f'{API}.>')}: {_text(f'{RENAMED}.>')}}}"
    yield "  imports: ["
    for subject in imports:
        inside = subject.replace(API, RENAMED, 1) if subject.startswith(f"{API}.") else ""
        to = f", to: {_text(inside)}" if inside else ""
        yield f"    {{service: {{account: {ACCOUNT}, subject: {_text(subject)}}}{to}}}"
    yield "  ]"
    yield "}"


def _text(text: str) -> str:
    return json.dumps(text)


def _indented(lines: Iterable[str], spaces: int = 2) -> Iterator[str]:
    return (" " * spaces + line for line in lines)
