"""docs/operations.md has each error of 500 and above and each alert, and quotes the code; links find their headings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.queries import ROOT, rules

PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
OBSERVING = (ROOT / "docs/observing.md").read_text(encoding="utf-8")
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s:]*)#([^)\s]+)\)")
# What PostgreSQL, NATS and OpenTelemetry say, not Hourbook.
FOREIGN = {
    "canceling statement due to conflict with recovery",
    "wrong last sequence",
    "terminating connection due to idle-session timeout",
    "idle-in-transaction timeout",
    "sorry, too many clients already",
}
STANDS_FOR = re.compile(r"\bN\b|\bHOST\b|\bNAME\b|…|^announcer: ")


def section(heading: str) -> str:
    """The text below a heading, up to the next one."""
    return re.split(r"^#{2,3} ", PAGE.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def modules() -> tuple[ast.Module, ...]:
    paths = [path for folder in ("services", "shared") for path in sorted((ROOT / folder).rglob("*.py"))]
    return tuple(ast.parse(path.read_text(encoding="utf-8")) for path in paths)


def nodes() -> Iterator[ast.AST]:
    for module in modules():
        yield from ast.walk(module)


def constants_of(kind: ast.ClassDef) -> dict[str, object]:
    """The constants of a class, by name."""
    found: dict[str, object] = {}
    for line in kind.body:
        target = (
            line.targets[0]
            if isinstance(line, ast.Assign)
            else line.target
            if isinstance(line, ast.AnnAssign)
            else None
        )
        if isinstance(target, ast.Name) and isinstance(value := getattr(line, "value", None), ast.Constant):
            found[target.id] = value.value
    return found


def codes_of_classes() -> Iterator[tuple[object, object]]:
    """The status and the code of each error class. A class has the status of its base unless it says another."""
    kinds = {node.name: node for node in nodes() if isinstance(node, ast.ClassDef)}

    def status_of(name: str) -> object:
        if name not in kinds:
            return None
        own = constants_of(kinds[name]).get("status")
        bases = [base.id for base in kinds[name].bases if isinstance(base, ast.Name)]
        return own or next((status for base in bases if (status := status_of(base))), None)

    for name, kind in kinds.items():
        if "code" in (constants := constants_of(kind)):
            yield status_of(name), constants["code"]


def codes_of_calls() -> Iterator[tuple[object, object]]:
    """The status and the code of each answer that is made without a class: `problem(503, "…", …)`."""
    for node in nodes():
        match node:
            case ast.Call(args=[ast.Constant(int(status)), ast.Constant(str(code)), *_]):
                yield status, code


def test_the_table_has_every_code_from_500_on_with_its_status() -> None:
    rows = re.findall(r"^\| (5\d\d) \| `(\w+)` \|", section("The code of an answer"), re.MULTILINE)
    listed = {(int(status), code) for status, code in rows}
    made = {*codes_of_classes(), *codes_of_calls()}
    assert listed == {(status, code) for status, code in made if isinstance(status, int) and 500 <= status < 600}
    assert len(rows) == len(listed) > 15


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_the_table_of_alerts_leads_to_the_heading_that_the_alert_names(rule: dict[str, dict[str, str]]) -> None:
    [row] = [line for line in section("When an alert fires").splitlines() if f"`{rule['alert']}`" in line]
    assert row.endswith(f"(#{rule['annotations']['runbook'].partition('#')[2]}) |")


def literals() -> str:
    """Every text of the code, each on a line of its own. A part of an f-string that is computed is `\\0`."""
    texts = []
    for node in nodes():
        match node:
            case ast.JoinedStr(values=values):
                texts.append("".join(str(one.value) if isinstance(one, ast.Constant) else "\0" for one in values))
            case ast.Constant(str(text)):
                texts.append(text.replace("%d", "\0").replace("%s", "\0").replace("%.0f", "\0"))
    return "\n".join(texts)


def test_what_the_page_quotes_is_said_by_the_code() -> None:
    said = literals()
    rows = section("What status, /health and the log say").splitlines()[4:]
    quotes = {quote for row in rows for quote in re.findall(r"`([^`]+)`", row.split(" | ")[0])}
    pieces = {piece.strip() for quote in quotes for piece in STANDS_FOR.split(quote)} - FOREIGN
    assert len(pieces) > 40
    assert sorted(piece for piece in pieces if piece.strip(" :;,") not in said) == []


def test_the_page_names_metrics_that_there_are() -> None:
    named = set(re.findall(r"`(hourbook_\w+)`", PAGE))
    assert named
    assert named - set(re.findall(r"`(hourbook_\w+)`", OBSERVING)) == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_link_to_a_heading_finds_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target, anchor in LINK.findall(text):
        page = (path.parent / target).resolve() if target else path
        if page.suffix == ".md":
            assert anchor in anchors(page.read_text(encoding="utf-8")), f"{path.name} links to {target}#{anchor}"
