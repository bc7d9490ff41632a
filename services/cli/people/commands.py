"""The commands that show: what each takes. Its work is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from services.cli.people.options import AMOUNT, ASK, Amount, Ask, SomePool

Range = Annotated[str | None, Parameter(help='The days or times "A,B", such as "today,next friday".')]


def free(
    pool: SomePool = None,
    /,
    *,
    grain: Literal["hour", "day", "week", "month"] = "day",
    dimension: Literal["servers", "cores", "memory", "tempdisc", "userdisc", "datadisc"] = "cores",
    template: Annotated[str | None, Parameter(name=["--for"], show_default=False)] = None,
    range_: Annotated[str | None, Parameter(name=["--range"])] = None,
    ask: Ask = ASK,
) -> None:
    """
    Parameters
    ----------
    grain
        The length of a column.
    dimension
        Which figure.
    template
        How many of this template fit, instead of a figure: small, or small@2.
    range_
        The days or times "A,B", such as "today,next friday". Default: 14 days from today; 24 hours with `--grain hour`.
    """
    from services.cli.people.free import Asked, show_free

    show_free(Asked(pool, grain, dimension, template, range_), ask)


def slots(
    *,
    length: Annotated[
        str, Parameter(name=["--for"], help='How long, such as "3 days" or 36h. A day is 24 hours here.')
    ],
    amount: Amount = AMOUNT,
    pool: Annotated[
        str | None,
        Parameter(name=["--in"], help="The project or the cluster. Default: all projects and their clusters."),
    ] = None,
    everywhere: Annotated[bool, Parameter(name=["--all"], negative=(), help="The earliest slot of each pool.")] = False,
    limit: Annotated[int, Parameter(help="How many slots of a pool.")] = 1,
    start: Annotated[str | None, Parameter(name=["--from"], help="Not before this time. Default: now.")] = None,
    ask: Ask = ASK,
) -> None:
    from services.cli.people.slots import show_slots

    show_slots(pool, length, amount, start, limit, ask, everywhere=everywhere)


def list_(
    pool: SomePool = None,
    /,
    *,
    account: Annotated[str | None, Parameter(help="Only this account's. Default: yours.")] = None,
    everybody: Annotated[bool, Parameter(name=["--all", "-a"], negative=(), help="Everybody's bookings.")] = False,
    tree: Annotated[bool, Parameter(negative=(), help="With the clusters inside the pool.")] = False,
    state: Annotated[
        tuple[Literal["running", "planned", "tentative", "ended"], ...],
        Parameter(negative=(), show_default=False, help="Only bookings in this state. It may be given several times."),
    ] = (),
    range_: Annotated[
        str | None, Parameter(name=["--range"], help='Bookings in the time "A,B". Default: from now on, for 90 days.')
    ] = None,
    ask: Ask = ASK,
) -> None:
    from services.cli.people.listing import Wanted, show_bookings

    show_bookings(Wanted(pool, account, everybody, tree, state, range_), ask)


def show(
    thing: Annotated[str, Parameter(help="The id of a booking, a series or a grant, or of a project or cluster.")],
    /,
    *,
    ask: Ask = ASK,
) -> None:
    from services.cli.people.show import show_thing

    show_thing(thing, ask)


def watch(
    pool: SomePool = None,
    /,
    *,
    since: Annotated[
        str | None, Parameter(name=["--from"], help="Begin with what happened then. Default: with the next event.")
    ] = None,
    ask: Ask = ASK,
) -> None:
    from services.cli.people.watch import watch_pool

    watch_pool(pool, since, ask)


def grants(
    pool: SomePool = None,
    /,
    *,
    range_: Annotated[
        str | None, Parameter(name=["--range"], help='Grants in the time "A,B". Default: from now on, for a year.')
    ] = None,
    ask: Ask = ASK,
) -> None:
    from services.cli.people.pools import show_grants

    show_grants(pool, range_, ask)


def clusters(
    pool: SomePool = None,
    /,
    *,
    ended: Annotated[bool, Parameter(name=["--all", "-a"], negative=(), help="Those that have ended, too.")] = False,
    ask: Ask = ASK,
) -> None:
    from services.cli.people.pools import show_clusters

    show_clusters(pool, ask, with_ended=ended)
