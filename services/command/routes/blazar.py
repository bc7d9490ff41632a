"""Blazar asks whether a lease may be made, changed or has ended: the calls of its external enforcement filter.

The filter reads two answers: 204 is yes; 403 with a `message` is no, and its user sees the message. Every other answer
is no, too, without a reason.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from litestar import Controller, post
from litestar.params import JSONBody, PathParameter

from services.command.domain import AskLease, EndLease
from services.command.domain.commands import Context
from services.command.lease_table import Known, Lease, LeaseRows, Leases
from services.command.routes.headers import AnyRequest, is_dry_run
from services.command.routes.leases import CheckRequest, CheckUpdateRequest, changed_lease, lease_of
from services.command.routes.submit import parts_of, principal_of, project_in
from shared.errors import HourbookError, InvalidField, Refused, UnknownId
from shared.events import BookingCreated, decode_event
from shared.ids import new_id
from shared.names import is_pool_id

BODY_BYTES_MAX = 8_000_000  # Blazar tells all that it knows of every host that it may take
PoolInPath = Annotated[str, PathParameter(description="The project or cluster from which the leases take capacity.")]


class LeaseRefused(HourbookError):
    """The lease may not be made or changed so. `message` says why; Blazar shows it to its user. `because` is the code
    of the reason, such as `lease_not_booked`; the facts of the reason are members, too."""

    code = "lease_refused"
    status = 403
    title = "The lease is refused"


blazar_post = partial(post, status_code=204, request_max_body_size=BODY_BYTES_MAX)


class Blazar(Controller):
    @blazar_post(
        "/openstack/blazar/{pool:str}/check-create",
        summary="May this lease be made",
        response_description="It may be made.",
    )
    async def check_create(self, request: AnyRequest, pool: PoolInPath, data: JSONBody[CheckRequest]) -> None:
        """Blazar asks before it makes a lease. It may if the account of its OpenStack project has booked as much of the
        pool, in every hour that the lease touches, as the lease and the account's other leases take. With
        `HOURBOOK_BLAZAR_POLICY=book`, what is not booked is booked by the call.

        Needs the role `manager` on the pool.
        """
        with told_to_blazar():
            lease = lease_of(data.context, data.lease)
            async with rows_on(request, pool) as rows:
                known = await rows.by_id(lease)
                await rows.put(known, lease, await asked(request, pool, rows, known, lease))

    @blazar_post(
        "/openstack/blazar/{pool:str}/check-update",
        summary="May this lease be changed",
        response_description="It may be changed.",
    )
    async def check_update(self, request: AnyRequest, pool: PoolInPath, data: JSONBody[CheckUpdateRequest]) -> None:
        """Blazar asks before it changes a lease. The lease is compared as it will be, like a new one. If a call has
        booked it, the booking is amended.

        Needs the same role as `check-create`.
        """
        with told_to_blazar():
            before = lease_of(data.context, data.current_lease, counts=False)
            lease = changed_lease(data.context, data.current_lease, data.lease)
            async with rows_on(request, pool) as rows:
                known = await rows.find(before)
                await rows.put(known, lease, await asked(request, pool, rows, known, lease))

    @blazar_post(
        "/openstack/blazar/{pool:str}/on-end", summary="A lease has ended", response_description="Hourbook knows it."
    )
    async def on_end(self, request: AnyRequest, pool: PoolInPath, data: JSONBody[CheckRequest]) -> None:
        """Blazar tells that a lease has ended, or was deleted. What a call has booked for it is given back from the
        next hour on. What a person has booked stays.

        Needs the same role as `check-create`.
        """
        with told_to_blazar():
            lease = lease_of(data.context, data.lease, counts=False)
            async with rows_on(request, pool) as rows:
                known = await rows.find(lease)
                command = EndLease(
                    pool=pool,
                    openstack_project=lease.openstack_project,
                    booked=None if known is None else known.booking,
                    issuers=leases_of(request).issuers,
                )
                await submitted(request, pool, command, lease)
                if known is not None:
                    await rows.remove(known)


async def asked(request: AnyRequest, pool: str, rows: LeaseRows, known: Known | None, lease: Lease) -> UUID | None:
    """Asks for the lease. Returns the booking that was made for it, now or earlier; None: there was none."""
    leases = leases_of(request)
    booked = None if known is None else known.booking
    command = AskLease(
        pool=pool,
        openstack_project=lease.openstack_project,
        period=lease.period(),
        amount=lease.amount,
        booking=new_id(),
        booked=booked,
        books=leases.books,
        issuers=leases.issuers,
        others=tuple(await rows.others(known, lease)),
    )
    events = map(decode_event, await submitted(request, pool, command, lease))
    return next((event.booking for event in events if isinstance(event, BookingCreated)), booked)


async def submitted(request: AnyRequest, pool: str, command: AskLease | EndLease, lease: Lease) -> Sequence[bytes]:
    """Submits the command. Returns its events. Raises the command's refusal."""
    context = Context(
        command=new_id(), principal=principal_of(request), at=datetime.now(UTC), reason=f"Blazar's lease {lease.name!r}"
    )
    return (await parts_of(request).handler.submit(project_in(pool), command, context)).decided


@asynccontextmanager
async def rows_on(request: AnyRequest, pool: str) -> AsyncIterator[LeaseRows]:
    """The leases of the pool, for whoever has the right: nobody else makes Blazar wait. Raises Forbidden, UnknownId for
    what is no pool, and InvalidField for a dry run: there is none."""
    if is_dry_run(request):
        raise InvalidField("dry_run", "a call about a lease is always carried out")
    if not is_pool_id(pool):
        raise UnknownId("pool", "project", pool)
    await parts_of(request).handler.require(pool, "manager", principal_of(request), "pool", "TellOfLease")
    async with leases_of(request).one_at_a_time(pool) as rows:
        yield rows


def leases_of(request: AnyRequest) -> Leases:
    leases = parts_of(request).leases
    assert leases is not None
    return leases


@contextmanager
def told_to_blazar() -> Iterator[None]:
    """Makes of a refusal in the block one that Blazar shows to its user. A missing right is not told."""
    try:
        yield
    except (Refused, InvalidField) as refusal:
        message = f"Hourbook: {refusal.detail}"
        raise LeaseRefused(refusal.detail, message=message, because=refusal.code, **refusal.facts) from None
