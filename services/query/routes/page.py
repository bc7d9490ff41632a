"""The web page at `/` and its assets. Browsers keep an asset for ever, and ask for the page each time."""

from __future__ import annotations

from pathlib import Path

from litestar import Controller, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from services.query.routes.page_files import Asset
from services.query.routes.parts import AnyRequest, parts_of
from shared.http.problem_document import page_headers
from shared.http.responses import EncodedResponse

HEADERS = {**page_headers(), "Vary": "Accept-Encoding"}


class Pages(Controller):
    """The web page for people. It uses the HTTP interface, and is not described in OpenAPI."""

    include_in_schema = False

    @get("/")
    async def index(self, request: AnyRequest) -> EncodedResponse[bytes]:
        return file_response(request, parts_of(request).page.html, "no-cache")

    @get("/assets/{version:str}/{name:path}")
    async def asset(self, request: AnyRequest, version: FromPath[str], name: FromPath[Path]) -> EncodedResponse[bytes]:
        page = parts_of(request).page
        found = page.assets.get(name.as_posix().lstrip("/"))
        if found is None or version != page.version:
            raise NotFoundException("there is no such asset; the page names those that there are")
        return file_response(request, found, "public, max-age=31536000, immutable")


def file_response(request: AnyRequest, asset: Asset, kept: str) -> EncodedResponse[bytes]:
    """The file, gzipped if the client accepts gzip; 304 if it has the file already. Each encoding has its own ETag."""
    gzipped = asset.gzipped if "gzip" in request.headers.get("Accept-Encoding", "") else None
    etag = asset.etag if gzipped is None else f'{asset.etag[:-1]}-gzip"'
    headers = {**HEADERS, "Cache-Control": kept, "ETag": etag}
    if gzipped is not None:
        headers["Content-Encoding"] = "gzip"
    if etag in [given.strip() for given in request.headers.get("If-None-Match", "").split(",")]:
        return EncodedResponse(b"", status_code=304, headers=headers, media_type=asset.media_type)
    return EncodedResponse(gzipped or asset.plain, headers=headers, media_type=asset.media_type)
