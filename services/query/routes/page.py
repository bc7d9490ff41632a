"""The page at `/` and its assets: files of `web/`, read once, sent compressed, and kept by browsers for ever.

Every asset's path holds a hash of all of them (`/assets/<hash>/app.js`), so that a module's relative imports stay
within one version, and a new version is a new path. `/` itself names the hash, and is asked for each time.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from litestar import Controller, Request, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from shared.http.problem_document import page_headers
from shared.http.responses import Encoded

WEB = Path(__file__).parents[1] / "web"
# Nothing is painted before the styles are there, so they are one file, in this order.
STYLES = ("tokens.css", "controls.css", "layout.css", "calendar.css", "lists.css", "../vendor/uplot.css")
ALL_STYLES = "style/all.css"
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".html": "text/html",
}
COMPRESSED_ALREADY = frozenset({".woff2"})
HEADERS = {**page_headers(), "Vary": "Accept-Encoding"}


class Asset(NamedTuple):
    media_type: str
    plain: bytes
    gzipped: bytes | None
    etag: str


class Page(NamedTuple):
    """`html` is the page itself, `assets` what it names, by their path under `/assets/<version>/`."""

    version: str
    html: Asset
    assets: Mapping[str, Asset]


def load_page(web: Path = WEB) -> Page:
    """Every file of a kind that a browser takes. The page names each script, so that all are fetched at once, and is
    painted before they are there: what it shows first is written in it."""
    files = {path.relative_to(web).as_posix(): path for path in sorted(web.rglob("*")) if path.suffix in TYPES}
    contents = {name: path.read_bytes() for name, path in files.items() if path.suffix not in (".html", ".css")}
    contents[ALL_STYLES] = b"".join((web / "style" / name).read_bytes() for name in STYLES)
    digest = blake2b(digest_size=9)
    for name, content in contents.items():
        digest.update(b"%b\0%d\0%b" % (name.encode(), len(content), content))
    version = digest.hexdigest()
    scripts = "".join(
        f'<link rel="modulepreload" href="assets/{version}/{name}">' for name in contents if name.endswith(".js")
    )
    index = files["index.html"].read_text().replace("{version}", version).replace("{scripts}", scripts)
    return Page(version, asset("index.html", index.encode()), {n: asset(n, c) for n, c in contents.items()})


def asset(name: str, content: bytes) -> Asset:
    suffix = Path(name).suffix
    gzipped = None if suffix in COMPRESSED_ALREADY else gzip.compress(content, 9, mtime=0)
    return Asset(TYPES[suffix], content, gzipped, f'"{blake2b(content, digest_size=12).hexdigest()}"')


class Pages(Controller):
    """The page for people. It is a client of the HTTP interface, and no part of it."""

    page: ClassVar[Page]
    include_in_schema = False

    @get("/")
    async def index(self, request: Request[Any, Any, Any]) -> Encoded[bytes]:
        return send(request, self.page.html, "no-cache")

    @get("/assets/{version:str}/{name:path}")
    async def asset(
        self, request: Request[Any, Any, Any], version: FromPath[str], name: FromPath[Path]
    ) -> Encoded[bytes]:
        found = self.page.assets.get(name.as_posix().lstrip("/"))
        if found is None or version != self.page.version:
            raise NotFoundException("there is no such asset; the page names those that there are")
        return send(request, found, "public, max-age=31536000, immutable")


def send(request: Request[Any, Any, Any], asset: Asset, kept: str) -> Encoded[bytes]:
    """The bytes, gzipped for whoever takes it; 304 for whoever has them. Each encoding has an ETag of its own."""
    gzipped = asset.gzipped if "gzip" in request.headers.get("Accept-Encoding", "") else None
    etag = asset.etag if gzipped is None else f'{asset.etag[:-1]}-gzip"'
    headers = {**HEADERS, "Cache-Control": kept, "ETag": etag}
    if gzipped is not None:
        headers["Content-Encoding"] = "gzip"
    if etag in [given.strip() for given in request.headers.get("If-None-Match", "").split(",")]:
        return Encoded(b"", status_code=304, headers=headers, media_type=asset.media_type)
    return Encoded(gzipped or asset.plain, headers=headers, media_type=asset.media_type)
