"""`python -m tests.browser.screenshots URL`: the pictures in docs/, of a made-up month, taken from a running system."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from random import Random

from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, ZONE, Project, iso, midnight

DOCS = Path(__file__).parents[2] / "docs"
HOUR = timedelta(hours=1)
ACCOUNTS = (
    "cds-survey",
    "dr4-photometry",
    "variable-stars",
    "teaching",
    "solar-system",
    "qso-lens",
    "binaries",
    "stellar-halo",
    "calibration",
)


def fill(url: str) -> Project:
    """Gaia's month: a grant and a second one on top, two clusters, four score bookings, some of them too many."""
    gaia, random = Project(url, "gaia"), Random(4)
    gaia.post("/projects/create", id="gaia", name="Gaia science platform", overcommit={"beyond_hours": 336})
    gaia.post("/projects/create", id="lofar", name="LOFAR imaging")
    for name, cores, memory in (("small", 4, 16), ("medium", 16, 64), ("large", 28, 128)):
        gaia.post("/templates/create", project="gaia", name=name, servers=1, cores=cores, memory=memory * 1024)
    gaia.grant(midnight(-300), midnight(90), servers=96, cores=512, memory=2048 * 1024)
    gaia.grant(midnight(-8), midnight(20), servers=12, cores=128, memory=512 * 1024)
    for parent, name, cores in (("gaia", "spark", 160), ("gaia", "kube-dev", 32), ("gaia.spark", "zeppelin", 24)):
        gaia.post(
            "/clusters/create",
            parent=parent,
            name=name,
            startdate=iso(midnight(-40)),
            enddate=iso(midnight(45)),
            servers=cores // 12,
            cores=cores,
            memory=cores * 4096,
        )
    sizes = {"servers": 20, "cores": 240, "memory": 240 * 4096}
    gaia.post("/clusters/gaia.spark/resize", startdate=iso(midnight(7)), enddate=iso(midnight(14)), **sizes)
    for _ in range(60):
        start = midnight(random.randint(-25, 38)) + random.choice((6, 8, 9, 12, 18)) * HOUR
        end = start + random.choice((8, 10, 24, 48, 72, 96)) * HOUR
        cores = random.choice((16, 32, 48, 64))
        gaia.book(random.choice(ACCOUNTS), start, end, servers=cores // 16, cores=cores, memory=cores * 2048)
    for number, account in enumerate(("teaching", "qso-lens", "binaries")):
        start = midnight(3 * number + 1)
        gaia.book(account, start, start + 36 * HOUR, pool="gaia.spark", share=f"{10 + 5 * number}%")
    gaia.book("dr4-photometry", midnight(23), midnight(27), servers=20, cores=300, memory=900 * 1024)
    gaia.book("stellar-halo", midnight(24), midnight(26), servers=20, cores=260, memory=800 * 1024)
    return gaia


def main(url: str) -> None:
    fill(url).close()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        month, chosen = midnight(20).strftime("%Y-%m-%d"), f"{iso(midnight(9))},{iso(midnight(12))}"
        for name, scheme, height, address in (
            ("calendar", "light", 1120, f"?pool=gaia&date={month}&select={chosen}"),
            ("bookings", "dark", 900, f"?pool=gaia&view=bookings&group=cluster&date={month}"),
        ):
            context = browser.new_context(
                color_scheme=scheme, timezone_id=ZONE, locale="en-GB", reduced_motion="reduce"
            )
            page = context.new_page()
            page.set_viewport_size({"width": 1440, "height": height})
            page.goto(f"{url}/{address}")
            page.locator(".bottom .live.live").wait_for()
            if name == "calendar":
                page.get_by_label("Account", exact=True).fill("variable-stars")
                page.get_by_label("Servers", exact=True).fill("24")
                page.get_by_label("Cores", exact=True).fill("400")
                page.locator(".verdict .said").wait_for()
            page.wait_for_timeout(2500)
            page.screenshot(path=DOCS / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
