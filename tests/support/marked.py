"""A ledger in which each name says where it belongs, for tests of who may read it.

Every account, actor, reason, source, member and error text holds `zz`, and then the pool: `zz-gaia.spark-account`.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.command.domain import (
    AddAccountMember,
    AmendBooking,
    Command,
    CreateAccount,
    CreateBooking,
    CreateCluster,
    CreateGrant,
    CreateProject,
    CreateSeries,
    CreateTemplate,
    FailResize,
    GrantRole,
    ProjectState,
    RequestResize,
    ResizeCluster,
    TemplateCount,
    decide,
    evolve,
)
from services.command.domain.commands import Context
from services.projector.as_of.historian import load_writer
from services.query.settings import Settings
from services.sealer.sealer import seal
from shared.audit.merkle import Tree
from shared.audit.notes import Signer
from shared.capacity import Capacity
from shared.events import Event, Overcommit
from shared.hours import Period, hour_of
from shared.identity.principals import trusted
from tests.support.backends import as_role
from tests.support.matrix import everybody, ledger_roles
from tests.support.querying import append_and_show, serving
from tests.support.signed_in import ADMIN, auth_file, signed_in

T0 = hour_of(datetime(2086, 1, 1, tzinfo=UTC))
WHOLE, DAY = Period(T0, T0 + 40 * 24), Period(T0 + 24, T0 + 48)
DECIDED = datetime(2025, 12, 1, tzinfo=UTC)
PROJECTS = ("gaia", "beta")
CLUSTERS = ("gaia.spark", "gaia.spark.deep", "gaia.spark2", "beta.spark")
SIGNER = Signer("hourbook", Ed25519PrivateKey.from_private_bytes(bytes(32)))
NOTICE = "INSERT INTO notice (seq, id, kind, project, subject, due, data) VALUES ($1, $2, $3, $4, $5, $6, $7)"
WEBHOOK = """
INSERT INTO webhook (id, url, project, kinds, secret, created_by, position, notice)
VALUES ($1, $2, $3, '{}', 'whsec_c2VjcmV0', $4, 0, 0)
"""
LETTER = "INSERT INTO webhook_dead_letter SELECT $1, 'm1', 'event', 1, 1, $2, now()"
REFUSAL = """
INSERT INTO refusal (at, project, actor, command, asked, reason, code, detail, facts)
VALUES (now(), $1, $2, 'CreateBooking', $3, $2, 'capacity_exceeded', $2, '{}')
"""


def mark(pool: str, what: str = "account") -> str:
    return f"zz-{pool}-{what}"


class Marked:
    """`ids` names what is there: `booking <pool>`, `series <pool>`, `grant <project>`, `hook <project>`, and `hook` of
    the whole ledger. `positions` are those of the events about each pool."""

    def __init__(self, database_url: str, client: httpx.AsyncClient) -> None:
        self.database_url, self.client = database_url, client
        self.ids: dict[str, UUID] = {}
        self.events: list[Event] = []
        self.positions: dict[str, list[int]] = defaultdict(list)
        self._states = {project: ProjectState() for project in PROJECTS}

    def do(self, pool: str, command: Command) -> None:
        """Decides a command about the pool."""
        project = pool.partition(".")[0]
        at, who = DECIDED + timedelta(seconds=len(self.events)), trusted(mark(pool, "actor"))
        made = command.booking.booking if isinstance(command, CreateSeries) else uuid4()
        context = Context(command=made, principal=who, at=at, reason=mark(pool, "reason"))
        for event in decide(self._states[project], project, command, context):
            self._states[project] = evolve(self._states[project], event)
            self.events.append(event)
            self.positions[pool].append(len(self.events))

    def made(self, name: str) -> UUID:
        self.ids[name] = uuid4()
        return self.ids[name]

    def fill(self) -> None:
        for project in PROJECTS:
            self.do(project, CreateProject(project=project, name=project, overcommit=Overcommit(beyond_hours=1)))
            many = Capacity(servers=99, cores=200, memory=200)
            grant, source = self.made(f"grant {project}"), mark(project, "source")
            self.do(project, CreateGrant(grant=grant, period=WHOLE, capacity=many, source=source))
            self.do(project, CreateTemplate(template=f"small-{project}", capacity=Capacity(cores=1)))
            self.do(project, CreateAccount(account=mark(project), name=mark(project, "title")))
            self.do(project, AddAccountMember(account=mark(project), member=f"egi:{mark(project, 'member')}"))
        for cluster in CLUSTERS:
            parent = cluster.rpartition(".")[0]
            size = Capacity(servers=9, cores=30 if "deep" not in cluster else 5, memory=20)
            self.do(cluster, CreateCluster(cluster=cluster, parent=parent, kind="magnum", period=WHOLE, capacity=size))
        for pool in (*PROJECTS, *CLUSTERS):
            if "." in pool:
                account = CreateAccount(account=mark(pool), name=mark(pool, "title"))
                self.do(pool.partition(".")[0], account)
                self.resize(pool)
            self.book(pool)
            self.do(pool, GrantRole(pool=pool, role="reader", member=f"egi:{mark(pool, 'reader')}"))

    def book(self, pool: str) -> None:
        """A booking, one that is amended, a series, and one that is more than there is."""
        template = TemplateCount(name=f"small-{pool.partition('.')[0]}")
        first = CreateBooking(
            booking=self.made(f"booking {pool}"), pool=pool, account=mark(pool), period=DAY, template=template
        )
        self.do(pool, first)
        self.do(pool, AmendBooking(booking=first.booking, template=template, end=DAY.end + 5))
        series = msgspec.structs.replace(first, booking=self.made(f"series {pool}"))
        days = (DAY, Period(DAY.end, DAY.end + 24))
        rule = CreateSeries(booking=series, periods=days, rrule="FREQ=DAILY;COUNT=2", timezone="UTC")
        self.do(pool, rule)
        much = msgspec.structs.replace(
            first, booking=self.made(f"much {pool}"), template=None, capacity=Capacity(cores=500)
        )
        self.do(pool, much)

    def resize(self, cluster: str) -> None:
        request = self.made(f"resize {cluster}")
        resize = ResizeCluster(cluster=cluster, capacity=Capacity(servers=9, cores=2, memory=20), start=DAY.start)
        self.do(cluster, RequestResize(request=request, resize=resize))
        self.do(cluster, FailResize(cluster=cluster, request=request, error=mark(cluster, "error")))

    def give_roles(self) -> None:
        for who in everybody():
            if who.role is not None and who.place is not None:
                self.do(who.place, GrantRole(pool=who.place, role=who.role, member=who.id))  # type: ignore[arg-type]

    async def write(self) -> None:
        """Writes all events, and what is beside them."""
        connection = await asyncpg.connect(self.database_url)
        await append_and_show(connection, self.events)
        past = await load_writer(connection)
        while await past.advance(1000):
            pass
        await connection.execute("SELECT index_events($1)", len(self.events) - 20)
        tree = Tree()
        while await seal(connection, tree, SIGNER):
            pass
        await self._write_rest(connection)
        await connection.close()

    async def _write_rest(self, connection: Any) -> None:
        for seq, pool in enumerate((*PROJECTS, *CLUSTERS), 1):
            project, booking = pool.partition(".")[0], str(self.ids[f"booking {pool}"])
            body = {"id": f"n{seq}", "project": project, "pool": pool, "booking": booking, "account": mark(pool)}
            data = msgspec.json.encode(body).decode()
            await connection.execute(NOTICE, seq, f"n{seq}", "booking.started", project, booking, DECIDED, data)
        await connection.execute("UPDATE notice_head SET seq = $1", seq)
        for name, place in (("hook gaia", "gaia"), ("hook beta", "beta"), ("hook", None)):
            where = place or "ledger"
            await connection.execute(
                WEBHOOK, self.made(name), f"https://{mark(where)}.example", place, mark(where, "maker")
            )
            await connection.execute(LETTER, self.ids[name], mark(where, "failure"))
        for project in (*PROJECTS, "nowhere"):
            await connection.execute(REFUSAL, project, mark(project, "actor"), f'{{"account":"{mark(project)}"}}')

    def path(self, text: str) -> str:
        """The text with what stands in braces: an id, or `at_gaia_spark`, the position of the last event about that
        pool."""
        ids: dict[str, object] = {name.replace(" ", "_").replace(".", "_"): one for name, one in self.ids.items()}
        at = {f"at_{pool.replace('.', '_')}": positions[-1] for pool, positions in self.positions.items()}
        return text.format_map(ids | at)


@contextlib.asynccontextmanager
async def marked(database_url: str, directory: Path, everyone: str = "none") -> AsyncIterator[Marked]:
    """The ledger, and the query service in front of it, in which everybody of the matrix has a role."""
    file = auth_file(directory, everyone=everyone, ledger=ledger_roles())
    async with serving(
        Settings(database_url=as_role(database_url, "query"), auth_file=file, visible_timeout_s=1.0)
    ) as client:
        ground = Marked(database_url, client)
        ground.fill()
        ground.give_roles()
        await ground.write()
        await signed_in(database_url, ADMIN)  # so that the directory has somebody
        yield ground
