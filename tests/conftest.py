"""Real servers for the whole session, a database of its own for each test.

`--backend=embedded` (the default) starts them from their wheels, `--backend=containers` in Docker, and `--backend=env`
uses those that HOURBOOK_DATABASE_URL (a role that may create databases) and HOURBOOK_NATS_URL name: tests that kill a
server are skipped there.
"""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from shared.migrate import migrate
from tests.support import conforming
from tests.support.backends import BACKENDS, LOGINS, TEMPLATE, Backend, Nats, Postgres, drop_database, make_database
from tests.support.client_tools import client_tools
from tests.support.folders import in_memory, use_memory
from tests.support.identity import iam_configuration, provider
from tests.support.keystone import keystone

__all__ = ["client_tools", "iam_configuration", "keystone", "provider"]

# An example that takes long says something of the machine, not of the code.
settings.register_profile("hourbook", deadline=None)
settings.load_profile("hourbook")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", choices=list(BACKENDS), default="embedded", help="which servers the tests use")
    parser.addoption(
        "--keystone",
        choices=["try", "must", "never"],
        default="try",
        help="tests with OpenStack's Keystone, which uv installs: skip them where that fails (try), fail, or skip all",
    )
    parser.addoption(
        "--clients",
        choices=["try", "must", "never"],
        default="try",
        help="tests with generated clients, whose tools uv and npm install: skip them where that fails (try), fail, or"
        " skip all",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--backend") == "env" and config.getoption("numprocesses", None):
        raise pytest.UsageError("--backend=env: give no -n, for two workers would delete each other's streams")
    use_memory()
    conforming.install()


@pytest.fixture(autouse=True)
def _responses_are_as_the_document_says(request: pytest.FixtureRequest) -> Iterator[None]:
    """Also those whose error the test or one of its tasks swallowed."""
    conforming.found.clear()
    conforming.unlike = request.node.get_closest_marker("odd_store") is not None
    yield
    assert not conforming.found


# The markers of tests that run only if `-m` names them.
ASKED_FOR = ("failover", "patroni", "upgrade", "torture")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = config.getoption("markexpr")
    for item in items:
        for name in ASKED_FOR:
            if item.get_closest_marker(name) and name not in asked:
                item.add_marker(pytest.mark.skip(reason=f"takes minutes: it runs with -m {name}"))


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    return BACKENDS[request.config.getoption("--backend")]()


@pytest.fixture(scope="session")
def own_directory() -> Iterator[Path]:
    """Not pytest's: every session closes pytest's to other users, and root's PostgreSQL of another session is one."""
    with tempfile.TemporaryDirectory(prefix="hourbook-test-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


@pytest.fixture(scope="session")
def postgres(backend: Backend, own_directory: Path) -> Iterator[Postgres]:
    with backend.postgres(own_directory / "postgres") as server:
        migrate(server.url_of(TEMPLATE), LOGINS)
        yield server


@pytest.fixture
async def database_url(postgres: Postgres) -> AsyncIterator[str]:
    """A fresh, migrated database, as the role that owns everything (`as_role`: as a service). It is dropped after the
    test where it takes memory. On a disk it stays until the server's folder is removed: a DROP waits for a
    checkpoint."""
    url = await make_database(postgres)
    yield url
    if in_memory():
        await drop_database(postgres, url)


@pytest.fixture
def nats_server(backend: Backend, tmp_path: Path) -> Iterator[Nats]:
    """A NATS server without a stream of ours."""
    with backend.nats(tmp_path / "nats") as server:
        yield server
