"""Secret addresses of feeds, for calendar programs: made, listed, revoked. The database has the hash of each key."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, unquote
from uuid import UUID

import msgspec

from shared.errors import InvalidField, UnknownId
from shared.identity.credentials import FEED_KEY
from shared.identity.errors import TooManyCredentials
from shared.identity.secrets import FEED, hash_of, new_secret
from shared.identity.stored import REVOKED
from shared.identity.tokens import begin
from shared.ids import new_id
from shared.names import asked_name, is_pool_id
from shared.postgres import Connection, Reader

FEEDS_MAX = 100  # addresses of one maker
PATH = re.compile(r"/(?P<kind>projects|clusters|accounts)/(?P<name>.+)\.ics")
SAYS = "give the path of a feed: /projects/{id}.ics, /clusters/{id}.ics or /accounts/{account}.ics"

COUNT = "SELECT count(*) FROM feed_address WHERE maker = $1 AND path <> $2"
REPLACE = "DELETE FROM feed_address WHERE maker = $1 AND path = $2"
CREATE = "INSERT INTO feed_address (id, hash, path, maker) VALUES ($1, $2, $3, $4)"
REVOKE = "DELETE FROM feed_address WHERE id = $1 AND ($2::text IS NULL OR maker = $2)"
LIST = """
SELECT id, path, maker, created_at AS created FROM feed_address
WHERE ($1::text IS NULL OR maker = $1) AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
"""


class FeedPath(NamedTuple):
    """The path of a feed. `text` is the path with its characters decoded. `pool` is the project or the cluster; None
    for the feed of an account."""

    text: str
    pool: str | None


class NewFeed(NamedTuple):
    """A feed's address that was made. `address` begins with its path, and has the key: nothing keeps it."""

    id: UUID
    address: str


class FeedAddress(msgspec.Struct, frozen=True):
    """A feed's address as lists show it, without its key."""

    id: UUID
    path: str
    maker: str
    created: datetime


def parse_feed_path(given: str, field: str = "path") -> FeedPath:
    """The path of a feed, as it stands in an address. Raises InvalidField."""
    match = PATH.fullmatch(text := unquote(given))
    if match is None or "?" in given or "#" in given:
        raise InvalidField(field, SAYS)
    name = match["name"]
    if match["kind"] == "accounts":
        asked_name(name, field)
        return FeedPath(text, None)
    if not is_pool_id(name) or ("." in name) != (match["kind"] == "clusters"):
        raise InvalidField(field, SAYS)
    return FeedPath(text, name)


async def create_feed(connection: Connection, path: FeedPath, maker: str) -> NewFeed:
    """Makes the address of a feed, in the transaction of the connection, after `begin`. One that the maker has for the
    same path ends. Raises TooManyCredentials."""
    if await connection.fetchval(COUNT, maker, path.text) >= FEEDS_MAX:
        raise TooManyCredentials(f"you have {FEEDS_MAX} feed addresses already; revoke those that nobody uses")
    if await connection.execute(REPLACE, maker, path.text) == "DELETE 1":
        await connection.execute(REVOKED)
    id_, key = new_id(), new_secret(FEED)
    await connection.execute(CREATE, id_, hash_of(key), path.text, maker)
    return NewFeed(id_, f"{written(path.text)}?{FEED_KEY}={key}")


async def revoke_feed(connection: Connection, feed: UUID, maker: str | None) -> None:
    """Ends an address of the maker; None: of anybody. Raises UnknownId."""
    await begin(connection)
    if await connection.execute(REVOKE, feed, maker) != "DELETE 1":
        raise UnknownId("id", "feed address", str(feed))
    await connection.execute(REVOKED)


async def read_feeds(
    reader: Reader, maker: str | None, after: UUID | None = None, limit: int = 1000
) -> tuple[list[FeedAddress], UUID | None]:
    """A page of addresses of the maker; None: of everybody; and the `after` of the next page, None on the last."""
    records = await reader.fetch(LIST, maker, after, limit + 1)
    page = [FeedAddress(*record) for record in records[:limit]]
    return page, page[-1].id if len(records) > limit else None


def written(path: str) -> str:
    """The path as it stands in an address. A slash inside the name is encoded."""
    _, kind, name = path.split("/", 2)
    return f"/{kind}/{quote(name, safe='')}"
