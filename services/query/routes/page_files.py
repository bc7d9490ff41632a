"""The files of the web page in `web/`: read once at the start, and compressed.

The path of each asset has a hash of all assets (`/assets/<hash>/all.js`), so a new version has new paths. The page
itself names the hash.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from services.query.routes.page_modules import as_one_script

WEB = Path(__file__).parents[1] / "web"
# A browser paints nothing before it has the styles, so they are one file, in this order.
STYLES = (
    "tokens.css",
    "controls.css",
    "layout.css",
    "calendar.css",
    "free.css",
    "lists.css",
    "access.css",
    "../vendor/uplot.css",
)
ALL_STYLES = "style/all.css"
# The modules are one script too. The other script runs before the first paint, and is no module.
ENTRY, ALL_MODULES, NO_MODULE = "app.js", "all.js", "theme.js"
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".html": "text/html",
}
COMPRESSED_ALREADY = frozenset({".woff2"})


class Asset(NamedTuple):
    media_type: str
    plain: bytes
    gzipped: bytes | None
    etag: str


class Page(NamedTuple):
    """`html` is the page itself. `assets` are the files that it names, by their path under `/assets/<version>/`."""

    version: str
    html: Asset
    assets: Mapping[str, Asset]


@cache
def own_page() -> Page:
    """The page of this program, read once."""
    return load_page()


def load_page(web: Path = WEB) -> Page:
    """Reads every file whose suffix is in TYPES. All styles become one file, and all modules become one. The first view
    is in the HTML, so that a browser paints it before it has the scripts."""
    files = {path.relative_to(web).as_posix(): path for path in sorted(web.rglob("*")) if path.suffix in TYPES}
    modules = {name: path.read_text() for name, path in files.items() if path.suffix == ".js" and name != NO_MODULE}
    apart = {name: path for name, path in files.items() if name not in modules and path.suffix not in (".html", ".css")}
    contents = {name: path.read_bytes() for name, path in apart.items()}
    contents[ALL_STYLES] = b"".join((web / "style" / name).read_bytes() for name in STYLES)
    contents[ALL_MODULES] = as_one_script(modules, ENTRY).encode()
    digest = blake2b(digest_size=9)
    for name, content in contents.items():
        digest.update(b"%b\0%d\0%b" % (name.encode(), len(content), content))
    version = digest.hexdigest()
    index = files["index.html"].read_text().replace("{version}", version)
    return Page(version, asset("index.html", index.encode()), {n: asset(n, c) for n, c in contents.items()})


def asset(name: str, content: bytes) -> Asset:
    suffix = Path(name).suffix
    gzipped = None if suffix in COMPRESSED_ALREADY else gzip.compress(content, 9, mtime=0)
    return Asset(TYPES[suffix], content, gzipped, f'"{blake2b(content, digest_size=12).hexdigest()}"')
