"""The ceiling of the stack: the same server and framework with handlers that do nothing but decode the same body."""

from __future__ import annotations

import sys

from litestar import Litestar, Response, get, post
from litestar.params import JSONBody

from services.command.routes.requests import BookingRequest
from shared.http.server_settings import ServerSettings
from shared.http.serving import serve

ANSWER = b'{"id":"00000000-0000-0000-0000-000000000000","position":1,"version":1,"decided":[]}'


@post("/bookings/create")
async def create_booking(data: JSONBody[BookingRequest]) -> Response[bytes]:
    return Response(ANSWER if data.account else b"", media_type="application/json")


@get("/available/select")
async def select() -> Response[bytes]:
    return Response(ANSWER, media_type="application/json")


if __name__ == "__main__":
    serve(Litestar([create_booking, select], logging_config=None), ServerSettings(), "bench", int(sys.argv[1]))
