"""Tokens and feed addresses, to be read, and the directory of people. No answer has a secret, or a hash of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller
from litestar.params import PathParameter, QueryParameter

from services.query.documents import service
from services.query.questions.parameters import required
from services.query.routes.answering import FRESH
from services.query.routes.forms import in_json
from services.query.routes.needs import Needs, somewhere
from services.query.routes.parameters import NumberedLimit
from services.query.routes.parts import AnyRequest, parts_of
from services.query.routes.reads import read
from shared.errors import InvalidField, UnknownId
from shared.http.responses import EncodedResponse
from shared.http.sign_in import principal_in
from shared.identity.authenticator import Authenticator
from shared.identity.errors import SignInNotSetUp
from shared.identity.feed_addresses import read_feeds
from shared.identity.people import Named, names_of
from shared.identity.roles import Right, administers
from shared.identity.tokens import mine_of, read_tokens
from shared.names import ASKED_MAX

IDS_MAX = 200
NOT_SET_UP = (409,)  # nobody signs in
ONE = in_json(service.Person, errors=NOT_SET_UP)

AfterId = Annotated[str | None, QueryParameter(description="Only those after this id: the `next` of the page before.")]
PersonInPath = Annotated[str, PathParameter(description="The id of a person, as events name the actor.")]
OWN = Needs(None, "your own; all of them for admins of the whole ledger")
PeopleIds = Annotated[
    str | None,
    QueryParameter(
        description=f"The ids of at most {IDS_MAX} people, separated by commas. An id with a comma in it has a path of"
        " its own: /people/{id}."
    ),
]


class Credentials(Controller):
    """Reads only. POST goes to the command service."""

    @read("/tokens", "Your tokens", in_json(service.TokenPage, errors=NOT_SET_UP), OWN)
    async def tokens(
        self, request: AnyRequest, after: AfterId = None, limit: NumberedLimit = 100
    ) -> EncodedResponse[bytes]:
        """`{tokens: [{id, name, maker, limits: [{role, pool}], created, expires, revoked}], next}`, ordered by id,
        which is the order in which they were made.

        The admins of the whole ledger see everybody's. A token sees only itself. `maker` is null for a token that the
        operator made. `revoked` is null while the token is not revoked. `next` is the `after` of the next page, null on
        the last page. The token itself is never shown again."""
        authenticator, principal = signed_in(request), principal_in(request)
        mine = mine_of(authenticator.policy, principal)
        page, following = await read_tokens(parts_of(request).database, mine, id_in(after), limit)
        return answered({"tokens": page, "next": following})

    @read("/feeds", "Your feed addresses", in_json(service.FeedAddresses, errors=NOT_SET_UP), OWN)
    async def feeds(
        self, request: AnyRequest, after: AfterId = None, limit: NumberedLimit = 100
    ) -> EncodedResponse[bytes]:
        """`{feeds: [{id, path, maker, created}], next}`, ordered by id, which is the order in which they were made.

        The admins of the whole ledger see everybody's; a token sees none. `next` is the `after` of the next page, null
        on the last page. The key is never shown again."""
        authenticator, principal = signed_in(request), principal_in(request)
        own = principal.id if principal.is_person else ""
        maker = None if administers(authenticator.policy, principal) else own
        page, following = await read_feeds(parts_of(request).database, maker, id_in(after), limit)
        return answered({"feeds": page, "next": following})


class People(Controller):
    """The directory of people."""

    @read("/people", "Names of people", in_json(service.PersonList, errors=NOT_SET_UP), somewhere(Right.NAMES))
    async def people(self, request: AnyRequest, ids: PeopleIds = None) -> EncodedResponse[bytes]:
        """`{people: [{id, name, email}]}`, ordered by id: who is behind the ids. `ids` must be given.

        An id that the directory does not have is left out. Only the admins of the whole ledger see `email`; for others
        the field is not there. Whoever sees the names of no pool gets 403."""
        wanted = list(dict.fromkeys(required(ids, "ids", "the ids of people").split(",")))
        if len(wanted) > IDS_MAX:
            raise InvalidField("ids", f"give at most {IDS_MAX} ids")
        return answered({"people": await found(request, wanted)})

    @read(
        "/people/{person:str}",
        "The name of a person",
        in_json(service.Person, errors=NOT_SET_UP),
        somewhere(Right.NAMES),
    )
    async def person(self, request: AnyRequest, person: PersonInPath) -> EncodedResponse[bytes]:
        """`{id, name, email}`: who is behind an id. `name` is null if the issuer does not say it.

        Only the admins of the whole ledger see `email`; for others the field is not there. Whoever sees the names of no
        pool gets 403."""
        people = await found(request, [person])
        if not people:
            raise UnknownId("id", "person", person)
        return answered(people[0])


async def found(request: AnyRequest, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The people with these ids, as the principal may see them."""
    authenticator, principal = signed_in(request), principal_in(request)
    asked = [id_ for id_ in ids if 0 < len(id_) <= ASKED_MAX and "\0" not in id_]
    people = await names_of(parts_of(request).database, asked)
    return [shown(one, with_email=administers(authenticator.policy, principal)) for one in people]


def shown(person: Named, *, with_email: bool) -> dict[str, Any]:
    one = person._asdict()
    return one if with_email else {name: one[name] for name in ("id", "name")}


def id_in(after: str | None) -> UUID | None:
    """The id in the parameter `after`, None without it. Raises InvalidField."""
    try:
        return None if after is None else UUID(after)
    except ValueError:
        raise InvalidField("after", "give the `next` of a page, unchanged") from None


def signed_in(request: AnyRequest) -> Authenticator:
    """The authenticator. Raises SignInNotSetUp where nobody signs in."""
    authenticator = parts_of(request).authenticator
    if authenticator is None:
        raise SignInNotSetUp
    return authenticator


def answered(body: Any) -> EncodedResponse[bytes]:
    return EncodedResponse(msgspec.json.encode(body), headers=FRESH)
