"""docs/security.md names tests that exist, and each key of the auth file with its default; its examples are right."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import msgspec
import pytest
import yaml

from services.cli.main import command_line
from shared.identity.auth_file import AuthFile, KeystoneIssuer, OidcIssuer, parse_auth_file

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
AUTH_FILES = TOML.findall(TEXT)
COMMANDS = sorted(set(re.findall(r"^    (?:\$ )?(?:\.venv/bin/)?(hourbook [^|\n]*)", TEXT + README, re.MULTILINE)))


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_the_threat_model_names_tests() -> None:
    rows = TEXT.partition("## Who tries what")[2].partition("\n## ")[0].split("\n|")[3:]
    assert len(rows) > 30
    without = [row for row in rows if "::" not in row]
    assert without == [], "a line of the table names no test"


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    assert (ROOT / file).is_file(), f"docs/security.md names {file}"
    assert name in functions_of(file), f"docs/security.md names {file}::{name}"


@pytest.mark.parametrize("text", AUTH_FILES)
def test_the_example_is_an_auth_file_with_every_key(text: str) -> None:
    file = parse_auth_file(text.encode())
    assert file.policy().ledger
    decoded = msgspec.toml.decode(text.encode())
    assert decoded.keys() == set(AuthFile.__struct_fields__)
    assert decoded["oidc"]["egi"].keys() == set(OidcIssuer.__struct_fields__)
    assert decoded["keystone"]["ours"].keys() == set(KeystoneIssuer.__struct_fields__)


def test_there_is_one_example_and_a_short_one_in_the_readme() -> None:
    assert len(AUTH_FILES) == 1
    [short] = TOML.findall(README)
    assert parse_auth_file(short.encode()).policy().ledger


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_that_is_shown_can_be_given(line: str) -> None:
    command_line().parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)


@pytest.mark.parametrize("field", [*msgspec.structs.fields(AuthFile), *msgspec.structs.fields(OidcIssuer)])
def test_the_table_says_the_default_of_a_key(field: msgspec.structs.FieldInfo) -> None:
    if field.name in ("ledger", "oidc", "keystone"):
        return  # tables of their own
    line = re.search(rf"^\| `{field.name}` \| (.*?) \|", TEXT, re.MULTILINE)
    assert line, f"docs/security.md has no line for {field.name}"
    match field.default:
        case None:
            assert line[1].startswith(("none", "the issuer's name"))
        case msgspec.NODEFAULT:
            assert line[1] == "must be given"
        case tuple(values):
            assert line[1] == ", ".join(f"`{value}`" for value in values)
        case value:
            assert line[1] == f"`{str(value).lower()}`"


@pytest.mark.parametrize("text", re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
def test_the_example_of_prometheus_is_yaml(text: str) -> None:
    assert yaml.safe_load(text)["scrape_configs"]
