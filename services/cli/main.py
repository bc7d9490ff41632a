"""`hourbook`: the commands and where each of them lives. A command's module is imported only when it is run."""

from __future__ import annotations

import sys

from cyclopts import App

from services.cli.failure import Failure
from shared.version import VERSION

HELP = """The booking ledger of shared compute.

`hourbook up` runs the whole system here; `hourbook demo` fills it with an example; `hourbook status` says how it is.
The others are for containers: each runs one part, on the servers that HOURBOOK_DATABASE_URL and HOURBOOK_NATS_URL name.
"""

app = App(name="hourbook", help=HELP, version=VERSION)
# The first line of each is what `hourbook --help` shows; its parameters are described where they are taken.
COMMANDS = {
    "up.up:up": """Run the whole system here until Ctrl-C.

PostgreSQL, NATS, the services, and one address for all of it: reads (GET, HEAD) go to the query service,
everything else to the command service. Their OpenAPI documents are /schema and /schema/command.

With HOURBOOK_DATABASE_URL and HOURBOOK_NATS_URL set, those servers are used and none are started. The first Ctrl-C
ends everything in order, a second one at once; what was acknowledged is kept in either case.""",
    "demo:demo": """Load an example, and draw what is available in it.

It is January 2020 of the notes: a grant of 10 cores and 10 memory, and six bookings that overlap. Every command has an
Idempotency-Key: a second run changes nothing.""",
    "status:status": """Show how far each part has come, and what is wrong.

The servers are those that HOURBOOK_DATABASE_URL and HOURBOOK_NATS_URL name, or those of the `hourbook up` that runs in
the data directory. The exit status is 1 when something is parked or cannot be reached.""",
    "run:command": """Run the command service alone.

It takes the commands (POST …). Settings: HOURBOOK_DATABASE_URL, HOURBOOK_NATS_URL, HOURBOOK_HOST (127.0.0.1) and
HOURBOOK_COMMAND_PORT (8081).""",
    "run:projector": """Run the projector alone.

It makes the read models of the events. Settings: HOURBOOK_DATABASE_URL, HOURBOOK_NATS_URL, and, for /health and
/metrics, HOURBOOK_HOST (127.0.0.1) and HOURBOOK_PROJECTOR_PORT (8083). HOURBOOK_STALL_S (30) is how long events may
wait before it says that it stands still.""",
    "run:query": """Run the query service alone.

It answers the reads (GET …). Settings: HOURBOOK_DATABASE_URL, HOURBOOK_HOST (127.0.0.1) and
HOURBOOK_QUERY_PORT (8082).""",
    "run:notify": """Run the notifier alone.

It tells others what time brings, and delivers the webhooks. Settings: HOURBOOK_DATABASE_URL, HOURBOOK_NATS_URL,
HOURBOOK_WEBHOOK_HOSTS (the hosts that webhooks may go to; none) and HOURBOOK_ENDING_LEAD_HOURS (24).""",
    "run:sealer": """Run the sealer alone.

It grows the Merkle tree over the events and signs its checkpoints. Settings: HOURBOOK_DATABASE_URL, HOURBOOK_NATS_URL,
HOURBOOK_AUDIT_KEY_FILE (an Ed25519 key in PEM) and HOURBOOK_AUDIT_ORIGIN (hourbook), the ledger's name in them.""",
    "run:migrate": """Bring the database to the newest schema.

It is the one that HOURBOOK_DATABASE_URL names, and is created if there is none.""",
    "run:rebuild": """Build the read models anew from the events.

They are built beside the live ones, and take their place in one transaction. Settings: HOURBOOK_DATABASE_URL.""",
    "bench:bench": """Measure this machine, and print the table of the README.

It needs a checkout of the source. Each measure is a ratio in one run, so let the machine be idle otherwise. It takes
the options of `python -m tests.bench`: which measures (1 to 8), --most BOOKINGS, --seconds SECONDS.""",
}
for place, text in COMMANDS.items():
    app.command(f"services.cli.{place}", name=place.partition(":")[2], help=text)

AUDIT = {
    "verify": """Recompute everything from the stored events, and compare.

The Merkle tree over the stored bytes is computed anew and compared with every signed checkpoint; the events are
replayed into fresh tables, and each cell is compared with the live ones. Nothing live is touched. The exit status is 1
when anything differs.""",
    "export": """Write the history, its checkpoint and a program that verifies it into a directory.

The events as NDJSON (byte for byte as they are stored) and as Parquet, the signed checkpoint, the public key, a JSON
Schema an event type, and verify.py, which needs Python and nothing else.""",
    "key": """Make a key to seal with, if the file is not there, and show its public key.""",
}
audit = App(name="audit", help="Prove the history: verify it, export it, make the key that seals it.")
for name, text in AUDIT.items():
    audit.command(f"services.cli.audit.commands:{name}", name=name, help=text)
app.command(audit)
IMPORTS = {
    "nova": """Make grants of Nova's quotas, and templates of its flavors.""",
    "blazar": """Make grants of Blazar's leases.""",
    "magnum": """Make clusters of Magnum's, and note resize requests.""",
}
importing = App(
    name="import",
    help="""Take over what OpenStack's own APIs answer.

The files are JSON as Nova, Blazar and Magnum answer it. A second import of the same changes nothing; what has changed
since is changed from the next whole hour on. Each thing is reported: created, changed, already there, refused by
Hourbook (then the exit status is 1), or not mapped, and why.""",
)
for name, text in IMPORTS.items():
    importing.command(f"services.cli.openstack.importing:{name}", name=name, help=text)
app.command(importing)
syncing = App(name="sync", help="Take over what is somewhere else now, as often as it is run.")
syncing.command(
    "services.cli.openstack.syncing:openstack",
    name="openstack",
    help="""Take over an OpenStack project: its quota, flavors, leases and clusters.

The cloud is one of clouds.yaml, or what the OS_ variables name; it is asked, and never changed. What is there already
is left alone, what has changed is changed from the next whole hour on, and what an earlier sync or import made and is
gone at Blazar or Magnum ends. It needs `pip install hourbook[openstack]`.""",
)
app.command(syncing)


def main() -> None:
    try:
        app()
    except Failure as failure:
        sys.exit(f"hourbook: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
