"""The house rules that no linter checks: lengths, docstrings, text that becomes SQL, paths."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ("services", "shared", "examples")
FILE_LINES_MAX = 400
TEST_FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
SUMMARY_MAX = 120
PAGE_LINE_MAX = 140

# SQL is a constant. These files put names of tables, columns or conditions into it, because PostgreSQL takes no
# parameter in their place. All that they put in are constants of Hourbook's own, never anything that a request said.
SQL_FROM_PARTS = {
    "services/projector/as_of/rows.py": "one condition, OPEN, in the statements of six tables",
    "services/projector/rows/one_statement.py": "each generation has its own tables of bookings and hours",
    "services/projector/rows/bookings.py": "each generation has its own table of bookings",
    "services/projector/rows/hours.py": "one condition, SHORT, in two statements",
    "services/query/answers/freshness.py": "the statement for one pool is part of the statement for trees",
    "services/query/views/accounts.py": "one condition, that a booking overlaps a period (overlapping.py)",
    "services/query/views/conflicts.py": "the column of a dimension",
    "services/query/views/feeds.py": "a condition for each kind of feed, and its limit",
    "services/query/views/hours.py": "the columns of the dimensions and values that are asked for",
    "services/query/views/items.py": "as accounts.py",
    "services/query/views/load.py": "the key of the groups, and the column of a dimension",
    "services/query/views/notices.py": "one condition in two statements",
    "services/query/views/pools.py": "one condition, that a name has a text in it, and which pools are listed",
    "services/query/views/refusals.py": "the order: the newest first, or the oldest",
    "services/query/views/roles.py": "a condition for a pool, for a project, and for all",
    "services/query/views/search.py": "the column of the index that is walked, and the order",
    "services/query/views/tree.py": "as hours.py",
    "services/query/views/tree_bookings.py": "as accounts.py",
    "shared/as_of.py": "the columns of the six dimensions",
    "shared/database_roles.py": "roles and rights: SQL has no parameters there, so names are quoted",
    "shared/event_store/ranges.py": "the columns of an event that a caller needs",
    "shared/grants.py": "rights that several tables have in common",
}


def files(*folders: str, suffix: str = ".py") -> Iterator[Path]:
    """Every file that is the project's own: not what others made (`vendor`)."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob(f"*{suffix}")):
            if not {"vendor", "node_modules", "__pycache__"} & set(path.parts):
                yield path


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_no_file_is_longer_than_what_one_reads_at_once() -> None:
    longer = {name_of(path) for path in files(*SOURCE) if path.read_text().count("\n") > FILE_LINES_MAX}
    assert not longer, f"over {FILE_LINES_MAX} lines: split by concern, as the folder's other files are"


def test_no_file_of_tests_is_longer_than_its_subject() -> None:
    longer = {name_of(path) for path in files("tests") if path.read_text().count("\n") > TEST_FILE_LINES_MAX}
    assert longer == set(), f"over {TEST_FILE_LINES_MAX} lines: split by subject"


def test_no_function_is_longer_than_a_screen() -> None:
    longer = {
        f"{name_of(path)} {node.name}"
        for path in files(*SOURCE)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    }
    assert not longer, f"over {FUNCTION_LINES_MAX} lines: name its parts, and make them functions"


def test_every_file_says_in_one_line_what_it_is() -> None:
    for path in files(*SOURCE, "tests/support"):
        docstring = ast.get_docstring(parsed(path))
        assert docstring, f"{name_of(path)} has no docstring"
        assert len(docstring.splitlines()[0]) <= SUMMARY_MAX, f"{name_of(path)}: the first line is too long"


STATEMENT = re.compile(r"^\s*(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|WITH|UNION|COPY)\b", re.MULTILINE)


def makes_sql(node: ast.AST) -> bool:
    """An f-string or a `%` with a statement in it; `.format` of a constant, or of one in a table of constants. What
    is inserted as `:d` is a number, and needs no reason."""
    match node:
        case ast.JoinedStr(values=parts):
            inserted = [part for part in parts if isinstance(part, ast.FormattedValue)]
            numbers = all(part.format_spec and ast.unparse(part.format_spec) == "f'd'" for part in inserted)
            text = [str(part.value) for part in parts if isinstance(part, ast.Constant)]
            return not numbers and any(map(STATEMENT.search, text))
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
            return bool(STATEMENT.search(text))
        case ast.Call(func=ast.Attribute(value=ast.Attribute(attr=name), attr="format")):
            return name.isupper()  # a constant of another module; `msgspec.json` is none
        case ast.Call(func=ast.Attribute(value=ast.Name() | ast.Subscript(), attr="format")):
            return True
    return False


def test_sql_is_made_of_parts_only_where_it_is_said_why() -> None:
    found = {name_of(path) for path in files("services", "shared") if any(map(makes_sql, ast.walk(parsed(path))))}
    found.discard("services/cli/audit/export.py")  # it makes a README
    assert found == set(SQL_FROM_PARTS), "give it a parameter ($1), or list the file with the reason; list no other"


def test_the_page_has_lines_that_fit_a_screen() -> None:
    for path in (*files("services/query/web", suffix=".js"), *files("services/query/web", suffix=".css")):
        longest = max(map(len, path.read_text(encoding="utf-8").splitlines()))
        assert longest <= PAGE_LINE_MAX, f"{name_of(path)} has a line of {longest} characters"


@pytest.mark.parametrize("words", ["fmt: skip", "fmt: off"])
def test_nobody_argues_with_the_formatter(words: str) -> None:
    here = Path(__file__)
    assert [name_of(path) for path in files(*SOURCE, "tests") if path != here and words in path.read_text()] == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    somewhere = re.compile(r"(?<![\w.])/(?:home/(?!you\b)|root/|Users/|work/|mnt/)\w")
    texts = [*files(*SOURCE, "tests", "docs", "deploy", suffix=""), *ROOT.glob("*.md"), ROOT / "Makefile"]
    written = {"", ".css", ".html", ".js", ".md", ".py", ".sh", ".sql", ".toml", ".yaml", ".yml"}
    for path in texts:
        if path.is_file() and path.suffix in written:
            assert not somewhere.search(path.read_text(encoding="utf-8")), name_of(path)


def test_documents_link_to_files_that_are_there() -> None:
    for path in documents():
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            there = "://" in target or target.startswith("mailto:") or (path.parent / target).exists()
            assert there, f"{name_of(path)} links to {target}"


def test_documents_name_files_that_are_there() -> None:
    named = re.compile(r"`((?:services|shared|tests|docs|deploy|examples)/[\w./-]*)`")
    for path in documents():
        if path.name == "CHANGELOG.md":  # it names what was there
            continue
        for name in named.findall(path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{name_of(path)} names {name}"


def documents() -> Iterator[Path]:
    yield from sorted(ROOT.glob("*.md"))
    yield from files("docs", "services", "examples", suffix=".md")
