"""The page's files over HTTP: media types, security policy, compression, caching."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from services.query.app import create_app
from services.query.routes.page_files import ENTRY, NO_MODULE, STYLES, WEB, load_page
from services.query.settings import Settings
from tests.support.backends import as_role

Client = AsyncTestClient[Litestar]


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with AsyncTestClient(create_app(Settings(database_url=as_role(database_url, "query")))) as client:
        yield client


async def test_every_file_that_the_page_names_is_there_and_kept_for_ever(client: Client) -> None:
    answer = await client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    named = re.findall(r'(?:href|src)="(assets/[^"]+)"', answer.text)
    assert len(named) == 5  # each is a request: over a slow link, more of them wait for one another
    for path in named:
        asset = await client.get(f"/{path}")
        assert asset.status_code == 200, path
        assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    types = {Path(path).suffix: (await client.get(f"/{path}")).headers["content-type"] for path in named}
    assert types == {
        ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".svg": "image/svg+xml",
        ".woff2": "font/woff2",
    }


async def test_every_module_is_in_the_one_script(client: Client) -> None:
    script = (await client.get(f"/assets/{load_page().version}/all.js")).text
    there = re.findall(r"\(\(\) => \{ // (\S+)$", script, re.MULTILINE)
    own = {path.relative_to(WEB).as_posix() for path in WEB.rglob("*.js")} - {NO_MODULE}
    assert set(there) == own
    assert len(there) == len(own)
    assert there[-1] == ENTRY


async def test_the_page_runs_its_own_files_only(client: Client) -> None:
    answer = await client.get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "unsafe" not in policy
    assert re.search(r"<script(?![^>]*src=)|<style|style=| on[a-z]+=", answer.text) is None
    assert answer.headers["x-frame-options"] == "DENY"


async def test_the_page_of_the_interface_runs_its_own_files_only(client: Client) -> None:
    answer = await client.get("/schema")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


async def test_what_one_has_is_not_sent_again(client: Client) -> None:
    for path in ("/", f"/assets/{load_page().version}/all.js"):
        first = await client.get(path)
        assert not first.headers["etag"].startswith("W/")
        assert first.headers["content-encoding"] == "gzip"
        again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        plain = await client.get(path, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.headers["etag"] != first.headers["etag"]
        assert plain.content == first.content


@pytest.mark.parametrize("path", ["/assets/0/all.js", "/assets/{version}/../all.js", "/assets/{version}/none.js"])
async def test_no_other_file_is_served(client: Client, path: str) -> None:
    answer = await client.get(path.format(version=load_page().version))
    assert answer.status_code == 404


async def test_a_changed_file_is_another_path(tmp_path: Path) -> None:
    for name in STYLES:
        (file := (tmp_path / "style" / name).resolve()).parent.mkdir(parents=True, exist_ok=True)
        file.write_text("a {}")
    (tmp_path / "index.html").write_text('<link href="assets/{version}/style/all.css">')
    (tmp_path / "app.js").write_text("")
    before = load_page(tmp_path)
    (tmp_path / "style" / "tokens.css").write_text("b {}")
    after = load_page(tmp_path)
    assert before.version != after.version
    assert after.html.plain == f'<link href="assets/{after.version}/style/all.css">'.encode()


async def test_the_page_is_no_part_of_the_interface(client: Client) -> None:
    paths = (await client.get("/schema/openapi.json")).json()["paths"]
    assert not [path for path in paths if path == "/" or path.startswith("/assets")]


async def test_all_of_it_is_small() -> None:
    page = load_page()
    sizes = [len(asset.gzipped or asset.plain) for asset in (page.html, *page.assets.values())]
    assert sum(sizes) < 250_000
    assert gzip.decompress(page.html.gzipped or b"") == page.html.plain
