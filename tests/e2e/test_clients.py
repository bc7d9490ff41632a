"""Others' tools and the OpenAPI document: clients that generators make of it are typed throughout, and book, read and
page; a linter finds nothing in it; Schemathesis gets no answer that it does not describe."""

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest

from tests.support.client_tools import ClientTools, needed
from tests.support.openapi import FILE
from tests.support.running import WAIT_S, Running, hourbook
from tests.support.signed_in import auth_file

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "clients"
LINTER = ROOT / "tests" / "openapi"

DAYS = {"startdate": "2085-06-01", "enddate": "2085-06-07"}
# What schemathesis.toml asks for.
GAIA: list[tuple[str, dict[str, Any]]] = [
    ("/projects/create", {"id": "gaia", "name": "Gaia"}),
    ("/resources/create", {"project": "gaia", "cores": 64, **DAYS}),
    ("/templates/create", {"project": "gaia", "name": "small", "cores": 2}),
    ("/clusters/create", {"parent": "gaia", "name": "spark", "cores": 16, **DAYS}),
    ("/bookings/create", {"clusterid": "gaia.spark", "account": "ada", "cores": 2, **DAYS}),
    ("/bookings/create", {"project": "gaia", "account": "ada", "template": "small", **DAYS}),
]


class Ledger(NamedTuple):
    """A `hourbook up` where people sign in, and a token for everything."""

    up: Running
    token: str

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.up.url + path, headers=self.headers, timeout=WAIT_S)

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return httpx.post(self.up.url + path, json=body, headers=self.headers, timeout=WAIT_S)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def environment(self) -> dict[str, str]:
        return {"HOURBOOK_URL": self.up.url, "HOURBOOK_TOKEN": self.token}


@pytest.fixture(scope="module")
def ledger(own_directory: Path) -> Iterator[Ledger]:
    folder = own_directory / uuid4().hex
    folder.mkdir(mode=0o711)
    data = folder / "data"
    settings = {"HOURBOOK_AUTH_FILE": auth_file(folder), "HOURBOOK_VISIBLE_TIMEOUT_S": "0.1"}
    with Running(folder / "output", "--data-dir", str(data), **settings) as up:
        made = hourbook("token", "create", "clients", "--role", "admin", "--operator", "--data-dir", str(data))
        assert made.returncode == 0, made.stderr
        yield Ledger(up, made.stdout.strip())


@pytest.fixture(scope="module")
def python_client(client_tools: ClientTools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example and the package that openapi-python-client makes."""
    folder = tmp_path_factory.mktemp("python")
    shutil.copy(EXAMPLES / "python" / "book.py", folder)
    options = ("--path", FILE, "--config", EXAMPLES / "python" / "config.yml", "--meta", "none")
    made = client_tools.python(
        "openapi-python-client", "generate", *options, "--output-path", folder / "hourbook_client", cwd=folder
    )
    assert succeeded(made).count("WARNING") == 1, made.stdout  # there is no YAML in it; JSON says the same
    return folder


@pytest.fixture(scope="module")
def typescript_client(
    request: pytest.FixtureRequest, client_tools: ClientTools, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the example and the types that openapi-typescript makes, as its package.json calls it."""
    folder = tmp_path_factory.mktemp("typescript")
    with needed(request):
        (folder / "node_modules").symlink_to(client_tools.packages(EXAMPLES / "typescript"))
    for file in [*(EXAMPLES / "typescript").iterdir(), LINTER / "every_operation.ts"]:
        if file.suffix in (".ts", ".json"):
            shutil.copy(file, folder)
    shutil.copy(FILE, folder / "openapi.json")
    program, *options = json.loads((folder / "package.json").read_text())["scripts"]["generate"].split()
    succeeded(client_tools.node(f"node_modules/.bin/{program}", "openapi.json", *options, cwd=folder))
    return folder


def succeeded(run: "subprocess.CompletedProcess[str]") -> str:
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def operations() -> dict[str, bool]:
    """The ids of all operations: whether each has an answer without a body (204)."""
    paths: dict[str, Any] = json.loads(FILE.read_bytes())["paths"]
    found = [operation for item in paths.values() for operation in item.values()]
    return {operation["operationId"]: "204" in operation["responses"] for operation in found}


def said(project: str) -> list[str]:
    """What an example prints of a new project."""
    days = [f"2030-06-0{day} 4" for day in range(3, 10)]
    booked = ["booking ada 10 confirmed", "booking grace 2 confirmed"]
    told = [
        "ProjectCreated",
        f"grant to {project}",
        f"cluster {project}.spark",
        f"ada booked in {project}.spark",
        f"grace booked in {project}.spark",
    ]
    return ["refused 409 capacity_exceeded", *days, "columns 4 4 4 4 4 4 4", *booked, *told]


def printed(run: "subprocess.CompletedProcess[str]") -> list[str]:
    """The lines without the positions, which depend on what else the ledger has."""
    lines = succeeded(run).splitlines()
    return [line.partition(" ")[2] if line.split()[0].isdigit() else line for line in lines]


def test_the_python_client_passes_mypy_strict_and_so_does_the_example(
    client_tools: ClientTools, python_client: Path
) -> None:
    checked = client_tools.python("mypy", "--strict", "--config-file=", "book.py", "hourbook_client", cwd=python_client)
    succeeded(checked)


def test_no_operation_of_the_python_client_returns_any_in_place_of_a_body(python_client: Path) -> None:
    found = {}
    for file in sorted((python_client / "hourbook_client" / "api").rglob("[!_]*.py")):
        functions = [one for one in ast.parse(file.read_text()).body if isinstance(one, ast.FunctionDef)]
        found[file.stem] = {one.name: ast.unparse(one.returns) for one in functions if one.returns}
    assert found.keys() == operations().keys()
    for operation, has_no_body in operations().items():
        returns = found[operation]
        assert "Problem" in returns["sync"], operation
        for name in ("sync", "sync_detailed"):  # `Any` stands for no body
            assert ("Any" in returns[name]) == has_no_body, f"{operation}: {returns[name]}"


def test_the_python_client_books_reads_and_pages(
    client_tools: ClientTools, python_client: Path, ledger: Ledger
) -> None:
    for _ in range(2):  # again, with the same keys: nothing is made twice
        run = client_tools.python("python", "book.py", "made-in-python", cwd=python_client, **ledger.environment)
        assert printed(run) == said("made-in-python")


def test_the_code_in_the_document_about_clients_is_that_of_the_examples() -> None:
    sources = {"python": EXAMPLES / "python" / "book.py", "ts": EXAMPLES / "typescript" / "book.ts"}
    found = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "clients.md").read_text(), re.DOTALL)
    assert {language for language, _ in found} == sources.keys()
    for language, code in found:
        for part in code.strip().split("\n\n"):
            assert part in sources[language].read_text(), part


def test_without_a_token_the_python_client_has_a_typed_refusal(
    client_tools: ClientTools, python_client: Path, ledger: Ledger
) -> None:
    stranger = client_tools.python("python", "book.py", "x", cwd=python_client, HOURBOOK_URL=ledger.up.url)
    assert stranger.returncode == 1
    assert stranger.stderr.splitlines()[-1].startswith("Refused: sign_in_required: ")


def test_the_typescript_client_passes_tsc_strict_and_has_a_type_for_every_answer(
    client_tools: ClientTools, typescript_client: Path
) -> None:
    succeeded(client_tools.node("node_modules/.bin/tsc", cwd=typescript_client))


def test_the_typescript_client_books_reads_and_pages(
    client_tools: ClientTools, typescript_client: Path, ledger: Ledger
) -> None:
    for _ in range(2):
        run = client_tools.node("book.ts", "made-in-typescript", cwd=typescript_client, **ledger.environment)
        assert printed(run) == said("made-in-typescript")


def test_the_linter_finds_nothing_in_the_document(
    request: pytest.FixtureRequest, client_tools: ClientTools, tmp_path: Path
) -> None:
    with needed(request):
        redocly = client_tools.packages(LINTER) / ".bin" / "redocly"
    command = (redocly, "lint", "--config", LINTER / "redocly.yaml", "--format", "json")
    found = json.loads(client_tools.node(*command, FILE, cwd=tmp_path).stdout)
    assert found["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}, found["problems"]
    poor = json.loads(FILE.read_bytes())
    del poor["paths"]["/projects"]["get"]["summary"]
    (tmp_path / "openapi.json").write_text(json.dumps(poor))
    found = json.loads(client_tools.node(*command, "openapi.json", cwd=tmp_path).stdout)
    assert [problem["ruleId"] for problem in found["problems"]] == ["operation-summary"]


@pytest.mark.timeout(600)
def test_schemathesis_gets_no_answer_that_the_document_does_not_describe(
    client_tools: ClientTools, ledger: Ledger, tmp_path: Path
) -> None:
    for path, body in GAIA:
        assert ledger.post(path, body).status_code == 201
    command = ("--config-file", LINTER / "schemathesis.toml", "run", FILE, "--url", ledger.up.url, "--no-color")
    run = client_tools.python("schemathesis", *command, cwd=tmp_path, HOURBOOK_TOKEN=ledger.token)
    assert ledger.get("/projects").status_code == 200  # the token was good to the end
    assert run.returncode == 0, run.stdout[-20_000:]
    assert int(run.stdout.partition(" generated, ")[0].split()[-1]) > 1000, run.stdout
