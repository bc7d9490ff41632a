"""The commands that change bookings: what each takes. Its work is imported when it runs."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from services.cli.people.options import AMOUNT, ASK, Account, Amount, Ask, DryRun, Key, Pool, Reason, Yes

Until = Annotated[
    str | None,
    Parameter(
        name=["--until"], help='When it ends, such as "next friday 18:00". A day without a time is included whole.'
    ),
]
Length = Annotated[str | None, Parameter(name=["--for"], help='How long, such as "3 days" or 36h, instead of --until.')]


def book(
    pool: Pool,
    /,
    *,
    amount: Amount = AMOUNT,
    start: Annotated[
        str | None,
        Parameter(name=["--from"], help='When it begins, such as "tomorrow 9:00". Default: as soon as it fits.'),
    ] = None,
    length: Length = None,
    until: Until = None,
    account: Account = None,
    rrule: Annotated[str | None, Parameter(help="Repeat it by this RRULE, such as FREQ=WEEKLY;COUNT=4.")] = None,
    skip: Annotated[bool, Parameter(negative=(), help="Of a repeated booking: leave out what does not fit.")] = False,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    key: Key = None,
    ask: Ask = ASK,
) -> None:
    from services.cli.people.book import Wish, book_it
    from services.cli.people.deciding import How

    book_it(Wish(pool, amount, start, length, until, account, rrule, skip, reason), How(yes, dry_run, key), ask)


def amend(
    booking: Annotated[str, Parameter(help="The id of the booking, as `hourbook list` shows it.")],
    /,
    *,
    amount: Amount = AMOUNT,
    start: Annotated[
        str | None, Parameter(name=["--from"], help="The new start; with --all, only occurrences from then on.")
    ] = None,
    length: Length = None,
    until: Until = None,
    series: Annotated[bool, Parameter(name=["--all"], negative=(), help="Every occurrence of its series.")] = False,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    key: Key = None,
    ask: Ask = ASK,
) -> None:
    from services.cli.people.change import Change, amend_it
    from services.cli.people.deciding import How

    amend_it(Change(booking, amount, start, length, until, series, reason), How(yes, dry_run, key), ask)


def cancel(
    booking: Annotated[str, Parameter(help="The id of the booking, as `hourbook list` shows it.")],
    /,
    *,
    series: Annotated[bool, Parameter(name=["--all"], negative=(), help="Every occurrence of its series.")] = False,
    since: Annotated[str | None, Parameter(name=["--from"], help="The occurrences of its series from then on.")] = None,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    key: Key = None,
    ask: Ask = ASK,
) -> None:
    from services.cli.people.change import cancel_it
    from services.cli.people.deciding import How

    cancel_it(booking, since, reason, How(yes, dry_run, key), ask, whole_series=series)
