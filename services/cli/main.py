"""`hourbook`: the table of all commands, with their help texts. Those for people are in `people/table.py`.

A command's module is imported only when the command runs, so that `hourbook --help` is quick. The text of a command
stands here; the text of each parameter stands with the function that takes it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter

from services.cli.failure import Failure
from services.cli.people.table import BOOKINGS, COMPLETION, PROFILE, PROFILE_HELP
from services.cli.terminal import printable
from shared.version import VERSION

HELP = """The booking ledger of shared compute.

To begin: `hourbook free` shows what is free, `hourbook book` books. `hourbook profile` says where the ledger is.

To run one: `hourbook up` runs the whole system on this machine, `hourbook demo` loads an example into it, and
`hourbook status` shows how it is. The exit status is 0 if it is done, 1 for a failure, 2 for wrong use, 3 if the ledger
refuses, 4 if you are not signed in or may not do it.
"""

HERE = {
    "up.up:up": """Run the whole system on this machine, until Ctrl-C.

It starts PostgreSQL, NATS, the services and one HTTP address for all of them. GET and HEAD go to the query service,
everything else goes to the command service. Their OpenAPI documents are at /schema and /schema/command.

A program and the page itself may use the address, pages of other sites may not. Without --auth nobody signs in: then
it listens for this machine alone.

When HOURBOOK_DATABASE_URL and HOURBOOK_NATS_URL are set, it uses those servers and starts none. The first Ctrl-C ends
everything in order, a second one ends it at once. Both keep every booking that was acknowledged.""",
    "demo:demo": """Load an example, and draw what it leaves available.

The example is January 2020: a grant of 10 cores and 10 memory, and six bookings that overlap. Every request has an
Idempotency-Key, so a second run changes nothing. Where people sign in, set HOURBOOK_TOKEN or HOURBOOK_TOKEN_FILE.""",
    "status:status": """Show how far each part has come, and what is wrong.

It asks the servers that HOURBOOK_DATABASE_URL and HOURBOOK_NATS_URL name. Without these, it asks the servers of the
running `hourbook up`. The exit status is 1 when an event cannot be applied or a part cannot be reached. With
--watch it looks again every two seconds, and shows how many events a second each part makes.""",
    "heal.commands:heal": """Compare the event store and the stream, and give back what the store has lost.

After a failover or a restore the store may have lost events that the stream still has. Then no command is accepted.
This shows what differs, checked against the signed checkpoints; with --apply it appends what was lost, at the same
positions, byte for byte. It can be run again after a kill.

HOURBOOK_DATABASE_URL is the database, with the role of `hourbook migrate`, and HOURBOOK_NATS_URL is NATS, with the
administrator's user. Without these, it asks the servers of the running `hourbook up`. The exit status is 0 only if
nothing differs, or what was lost is given back.""",
}
PARTS = {
    "run:command": """Run the command service.

It takes the commands (every request but GET and HEAD). Settings: HOURBOOK_DATABASE_URL, HOURBOOK_NATS_URL,
HOURBOOK_HOST (127.0.0.1) and HOURBOOK_COMMAND_PORT (8081). An address that other machines reach needs
HOURBOOK_AUTH_FILE, or HOURBOOK_OPEN=yes.""",
    "run:projector": """Run the projector, which writes the read models.

It reads the events from the database; a message on NATS tells it that there are new ones. Settings:
HOURBOOK_DATABASE_URL, HOURBOOK_NATS_URL, and for /health and /metrics HOURBOOK_HOST (127.0.0.1) and
HOURBOOK_PROJECTOR_PORT (8083). When events wait longer than HOURBOOK_STALL_S (30) seconds, /health answers that the
projector is stalled.""",
    "run:query": """Run the query service.

It answers the reads (GET). Settings: HOURBOOK_DATABASE_URL, HOURBOOK_HOST (127.0.0.1) and HOURBOOK_QUERY_PORT
(8082).""",
    "run:notify": """Run the notifier, which makes notices and calls webhooks.

A notice says that a booking starts, ends soon or ends, or that the deadline of a conflict comes near. Settings:
HOURBOOK_DATABASE_URL, HOURBOOK_NATS_URL, HOURBOOK_WEBHOOK_HOSTS (the hosts that webhooks may be sent to; none) and
HOURBOOK_ENDING_LEAD_HOURS (24).""",
    "run:sealer": """Run the sealer, which signs checkpoints of the history.

It adds the events to a Merkle tree and signs the root of the tree. Settings: HOURBOOK_DATABASE_URL, HOURBOOK_NATS_URL,
HOURBOOK_AUDIT_KEY_FILE (an Ed25519 key in PEM) and HOURBOOK_AUDIT_ORIGIN (hourbook), the name of the ledger in its
checkpoints.""",
    "up.gateway_command:gateway": """Run the one address, in front of services that run elsewhere.

GET and HEAD go to a query service, everything else goes to a command service. When one takes no connection, the next
one is asked. A command is never sent twice. Settings: HOURBOOK_COMMAND_URLS and HOURBOOK_QUERY_URLS (where they listen,
such as http://10.0.0.7:8081,http://10.0.0.8:8081), HOURBOOK_PROJECTOR_URLS (for its metrics), HOURBOOK_HOST (127.0.0.1)
and HOURBOOK_GATEWAY_PORT (8080). An address that other machines reach needs
HOURBOOK_AUTH_FILE, or HOURBOOK_OPEN=yes.""",
    "run:migrate": """Bring the database to the newest schema.

HOURBOOK_DATABASE_URL names the database, with a role that may make roles. The database is created when there is none.
Each service's role of PostgreSQL gets its rights. HOURBOOK_ROLES_DIR names a folder for the passwords of the roles
that log in: they are made when there are none.""",
    "run:rebuild": """Rebuild the read models from the events.

The new tables are built beside the live ones, and replace them in one transaction. Setting: HOURBOOK_DATABASE_URL, with
the projector's role.""",
}
DEVELOPMENT = {
    "bench:bench": """Measure this machine, and print the table of the README.

It needs a checkout of the source, and takes some twelve minutes on two cores: keep the machine idle otherwise. `wrk`
makes the load if it is installed. It takes the options of `python -m tests.bench`: --runs N (5) measures each figure so
often, --seconds SECONDS (1) is the length of a load, --most BOOKINGS (1000000) that of the longest history, --quick
shows that the bench works, --readme writes the table into the README. Arguments choose measures: ceiling, sealed,
processes, reads, visible, live, heavy, signed-in, folded, past, rebuild, verify, start, growth, month, address, append,
decade (only with --most 5000000), scale (only when it is named)."""
}
AUDIT = {
    "audit.commands:verify": """Recompute everything from the stored events, and compare.

It computes the Merkle tree from the stored bytes and compares it with every signed checkpoint. It replays the events
into new tables and compares each cell with the live ones. It changes nothing that is live. The exit status is 1 when
anything differs.""",
    "audit.commands:export": """Write the history, and a program that verifies it, into a directory.

The directory gets the events as NDJSON (byte for byte as they are stored) and as Parquet, the signed checkpoint, the
public key, a JSON Schema for each event type, and verify.py, which needs only Python.""",
    "audit.commands:key": """Make the key that signs checkpoints, and show its public key.

A key that exists is kept.""",
}
TOKEN = {
    "access.tokens:create": """Make a token for a program, and show it once.

With the credential of a person (HOURBOOK_TOKEN or HOURBOOK_TOKEN_FILE), Hourbook makes it over HTTP. It may do what its
role says, and never more than that person may.

The first token of a new ledger is made with --operator, on the machine of the ledger. It goes straight into the
database, so it needs no credential. Nobody stands behind such a token: its role is all that bounds it.""",
    "access.tokens:list_": """List your tokens; with --operator everybody's.

The admins of the whole ledger see everybody's, too. The tokens themselves are never shown again.""",
    "access.tokens:revoke": """Revoke a token.

Within five seconds no service takes it any more.""",
}
ROLES = {
    "access.roles:list_": """List who has which role where.""",
    "access.roles:grant": """Give a role to a person or a group.

The role holds on the project or the cluster, and on everything inside it. It needs the role admin there.""",
    "access.roles:revoke": """Take a role from a person or a group.

It needs the role admin on the project or the cluster.""",
}
PEOPLE = {
    "access.people:list_": """List the people who have signed in, with their names and e-mail addresses.""",
    "access.people:forget": """Erase a person: name, e-mail address and groups.

The sessions, tokens and feed addresses of the person end, in every service within five seconds. The history keeps the
id, and nothing else: it still verifies. A person who signs in again is in the directory again.""",
}
PEOPLE_HELP = """The directory of people, for the operator.

It goes straight into the database: the one that HOURBOOK_DATABASE_URL names, or that of the running `hourbook up`. It
needs the rights of the command service."""
IMPORT = {
    "openstack.importing:nova": """Import Nova's quotas as grants, and its flavors as templates.""",
    "openstack.importing:blazar": """Import Blazar's leases as grants.

The source of a grant is `blazar:<lease id>`.""",
    "openstack.importing:magnum": """Import Magnum's clusters, and record resize requests.

A cluster has further node groups if the files have a document of each of them.""",
}
IMPORT_HELP = """Import OpenStack documents from files.

The files are JSON as Nova, Blazar and Magnum answer it. Importing the same file again changes nothing. A thing that has
changed since the last import is changed from the next whole hour on. Each thing is reported: created, changed, already
there, refused by Hourbook (then the exit status is 1), or not mapped, and why. Where people sign in, HOURBOOK_TOKEN or
HOURBOOK_TOKEN_FILE has the credential."""
SYNC = {
    "openstack.syncing:openstack": """Import the present state of an OpenStack project.

It reads the project's quota, flavors, leases and clusters, and never changes the cloud. clouds.yaml or the OS_
variables name the cloud. What is the same already is left alone. What has changed is changed from the next whole hour
on. What an earlier sync or import made, and Blazar or Magnum no longer has, ends.

Where people sign in to Hourbook, HOURBOOK_TOKEN or HOURBOOK_TOKEN_FILE has the credential. With --auth keystone, the
cloud's own token is sent instead: Hourbook must trust that Keystone.

It needs `pip install hourbook[openstack]`."""
}


SUBSCRIBER = {
    "subscribers.commands:create": """Let a program read the events of some projects from NATS.

It makes the subscriber's consumers and prints its address, with a password that is not shown again. With `hourbook up`
the subscriber may connect at once. With a NATS server of your own, HOURBOOK_NATS_URL names it, with the administrator's
user and password; the command prints what to add to the server's configuration.""",
    "subscribers.commands:list_": """Show the subscribers, what they read, and how many events wait for them.""",
    "subscribers.commands:remove": """End a subscriber: its consumers, and with `hourbook up` its user.""",
}
NATS_CONFIG = {
    "nats_config:nats_config": """Print the users and permissions for a NATS server of your own.

Put the text into the server's configuration. The server reads the passwords from its environment: see
deploy/nats.conf, which has the same text."""
}


def name_of(place: str) -> str:
    """The name of a command on the command line: `module:list_` is `list`, `module:nats_config` is `nats-config`."""
    return place.partition(":")[2].strip("_").replace("_", "-")


def with_commands(app: App, commands: Mapping[str, str], group: str | None = None) -> App:
    """The app with more commands, in this order. `commands`: module:function under services.cli → the help text."""
    shown = Group.create_ordered(group) if group else None
    for number, (place, text) in enumerate(commands.items()):
        app.command(f"services.cli.{place}", name=name_of(place), help=text, group=shown, sort_key=number)
    return app


def command_line() -> App:
    app = with_commands(App(name="hourbook", help=HELP, version=VERSION), BOOKINGS, "What is free, and bookings")
    access = Group.create_ordered("You, and who may do what")
    for name, commands, text in (
        ("profile", PROFILE, PROFILE_HELP),
        ("token", TOKEN, "Tokens of programs: make, list and revoke them."),
        ("roles", ROLES, "Who may do what: list, give and take roles."),
    ):
        app.command(with_commands(App(name=name, help=text, group=access), commands))
    with_commands(app, COMPLETION, "Your shell")
    with_commands(app, HERE, "For operators: the whole system")
    more = Group.create_ordered("For operators: people, OpenStack, subscribers, audit")
    for name, commands, text in (
        ("people", PEOPLE, PEOPLE_HELP),
        ("import", IMPORT, IMPORT_HELP),
        ("sync", SYNC, "Import what another system has at present."),
        ("subscriber", SUBSCRIBER, "Let other programs read the events from NATS."),
        ("audit", AUDIT, "Verify the history, export it, make the key that signs it."),
    ):
        app.command(with_commands(App(name=name, help=text, group=more), commands))
    with_commands(app, NATS_CONFIG, "For operators: servers of your own")
    with_commands(app, PARTS, "For operators: one part alone, for containers")
    with_commands(app, DEVELOPMENT, "Development")
    last = Group.create_ordered("Options")
    app["--help"].group = app["--version"].group = last
    return app


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="The shell.")],
    /,
    *,
    install: Annotated[bool, Parameter(negative=(), help="Install it for you, and say where.")] = False,
) -> None:
    app = command_line()
    if install:
        print(f"Completion is installed in {app.install_completion(shell=shell)}. It works in a new {shell}.")
    else:
        print(app.generate_completion(prog_name="hourbook", shell=shell))


def main() -> None:
    try:
        command_line()(sys.argv[1:])
    except Failure as failure:
        print(f"hourbook: {printable(str(failure))}", file=sys.stderr)
        sys.exit(failure.exit_status)
    except BrokenPipeError:  # whoever read the output has enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
