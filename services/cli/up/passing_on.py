"""An answer of a service on its way through the gateway to the client; the headers that go on, either way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from aiohttp import ClientOSError, ClientPayloadError, ClientResponse, ServerDisconnectedError, web
from multidict import CIMultiDict, CIMultiDictProxy

from shared.http.aiohttp_server import SERVER_HEADERS

WHOLE_MAX = 64 * 1024  # bytes of an answer that is read whole before any of it is passed on
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    }
)
# What the guards of the services decide by. A client cannot have it dropped by a `Connection` header.
KEPT = frozenset({"host", "origin", "sec-fetch-site", "authorization", "x-auth-token", "cookie"})


def is_short(answered: ClientResponse) -> bool:
    length = answered.content_length
    return length is not None and length <= WHOLE_MAX


async def pass_on(
    request: web.BaseRequest, answered: ClientResponse, unread_timeout_s: float, headers_of_all: Mapping[str, str]
) -> web.StreamResponse:
    """Passes an answer on, piece by piece, with the headers that every response has.

    When the service's answer breaks off, the client's connection is aborted: the answer must not look complete. The
    same happens when the client reads nothing for `unread_timeout_s`.
    """
    headers = end_to_end(answered.headers)
    headers.update(SERVER_HEADERS)
    headers.update(headers_of_all)
    response = web.StreamResponse(status=answered.status, reason=answered.reason, headers=headers)
    await response.prepare(request)
    try:
        async for piece in pieces_of(answered):
            async with asyncio.timeout(unread_timeout_s):
                await response.write(piece)
        async with asyncio.timeout(unread_timeout_s):
            await response.write_eof()
    except (ClientPayloadError, ClientOSError, ServerDisconnectedError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
    return response


async def pieces_of(answered: ClientResponse) -> AsyncIterator[bytes]:
    if not is_short(answered):
        async for piece in answered.content.iter_any():
            yield piece
    elif whole := await answered.read():  # it is remembered
        yield whole


def end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers without those that concern one connection only (hop-by-hop)."""
    named = {name.strip().lower() for value in headers.getall("Connection", ()) for name in value.split(",")} - KEPT
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP and name.lower() not in named
    )
