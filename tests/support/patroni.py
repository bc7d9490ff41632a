"""Two nodes of PostgreSQL under Patroni with etcd, as deploy/ha has them. Patroni comes from PyPI, in an environment of
its own; etcd is the system's (`apt-get install etcd-server`)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import psutil
import pytest

from services.cli.up.embedded import free_port, postgres_programs, stop_process
from services.cli.up.private_files import first_closed_folder, system_user
from services.cli.up.tether import tethered
from tests.support.backends import Embedded

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "deploy/ha/patroni.yml"
PACKAGES = ("patroni[etcd3]==4.1.5", "psycopg[binary]>=3.2")
PASSWORD = "of-the-test"
START_S = 120.0


class PatroniNode:
    """A node: Patroni and the PostgreSQL that it runs."""

    def __init__(self, folder: Path, name: str, program: Path, etcd: str) -> None:
        self.folder, self.name, self._program = folder / name, name, program
        self.port, self._api = free_port(), free_port()
        self._user = system_user() if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        data = self.folder / "data"
        self._environment = {
            "PATH": os.environ["PATH"],
            "PATRONI_NAME": name,
            "PATRONI_ETCD3_HOSTS": etcd,
            "PATRONI_RESTAPI_LISTEN": f"127.0.0.1:{self._api}",
            "PATRONI_RESTAPI_CONNECT_ADDRESS": f"127.0.0.1:{self._api}",
            "PATRONI_POSTGRESQL_LISTEN": f"127.0.0.1:{self.port}",
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"127.0.0.1:{self.port}",
            "PATRONI_POSTGRESQL_BIN_DIR": str(postgres_programs(self._user)),
            "PATRONI_POSTGRESQL_DATA_DIR": str(data),
            "PATRONI_POSTGRESQL_PGPASS": str(self.folder / "pgpass"),
        }
        for role, login in (("SUPERUSER", "postgres"), ("REPLICATION", "replicator"), ("REWIND", "rewinder")):
            self._environment |= {f"PATRONI_{role}_USERNAME": login, f"PATRONI_{role}_PASSWORD": PASSWORD}
        self.folder.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)

    def start(self) -> None:
        with self.log("ab") as log:
            self._process = subprocess.Popen(
                tethered(
                    [str(self._program), str(self.folder.parent / CONFIGURATION.name)], signal.SIGTERM, self._user
                ),
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        stop_process(self._process, signal.SIGTERM, timeout_s=60)

    def kill(self) -> None:
        """SIGKILL to Patroni and to all processes of PostgreSQL: a machine that is lost."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            postmaster = psutil.Process(int((self.folder / "data/postmaster.pid").read_text().split()[0]))
            postmaster.suspend()
            for process in (*postmaster.children(recursive=True), postmaster):
                process.kill()

    def log(self, mode: str) -> IO[Any]:
        return (self.folder.parent / f"{self.name}.log").open(mode)

    def members(self) -> dict[str, tuple[str, str]]:
        """By name of node: its role and its state, as Patroni says; {} if it does not answer."""
        try:
            told = httpx.get(f"http://127.0.0.1:{self._api}/cluster", timeout=2).json()
        except httpx.HTTPError:
            return {}
        return {member["name"]: (member["role"], member["state"]) for member in told["members"]}


class PatroniCluster:
    """It is a `Postgres` of tests/support/backends.py."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o755, parents=True)
        shutil.copy(CONFIGURATION, folder)
        etcd = f"127.0.0.1:{free_port()}"
        program = _patroni(folder / "environment")
        self._etcd = _start_etcd(folder / "etcd", etcd)
        self.nodes = [PatroniNode(folder, name, program, etcd) for name in ("node1", "node2")]

    @property
    def url(self) -> str:
        return self.url_of("hourbook")

    def url_of(self, database: str) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgresql://postgres:{PASSWORD}@{hosts}/{database}?sslmode=disable"

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        self.wait_until_safe()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        del how
        for node in self.nodes:
            node.kill()
        stop_process(self._etcd, signal.SIGTERM)

    def leader(self) -> PatroniNode:
        roles = {name: role for node in self.nodes for name, (role, _) in node.members().items()}
        return next(node for node in self.nodes if roles.get(node.name) == "leader")

    def wait_until_safe(self) -> None:
        """Until there is a leader, and a standby for which commits wait."""
        deadline = time.monotonic() + START_S
        while True:
            for node in self.nodes:
                if {role for role, _ in node.members().values()} == {"leader", "sync_standby"}:
                    return
            assert time.monotonic() < deadline, [node.log("r").read()[-3000:] for node in self.nodes]
            time.sleep(0.2)


class UnderPatroni(Embedded):
    """The backend of a System whose PostgreSQL is two nodes under Patroni."""

    @contextlib.contextmanager
    def postgres(self, directory: Path) -> Iterator[PatroniCluster]:
        cluster = PatroniCluster(directory)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def _patroni(environment: Path) -> Path:
    """Installs Patroni; the user that runs PostgreSQL may run it. Skips the test where that fails."""
    uv = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tools/bin/uv")
    python = _python()
    for arguments in (
        ["venv", "--python", python, environment],
        ["pip", "install", "--python", environment, *PACKAGES],
    ):
        ran = subprocess.run([uv, *map(str, arguments), "--quiet"], check=False, capture_output=True, text=True)
        if ran.returncode != 0:
            pytest.skip(f"Patroni cannot be installed here: {ran.stderr[-500:]}")
    return environment / "bin/patroni"


def _python() -> str:
    """A Python that every user may run."""
    own = Path(sys.executable).resolve()
    closed = os.geteuid() == 0 and first_closed_folder(own, system_user()) is not None
    return "/usr/bin/python3" if closed else str(own)


def _start_etcd(folder: Path, address: str) -> subprocess.Popen[bytes]:
    program = shutil.which("etcd")
    if program is None:
        pytest.skip("there is no etcd: apt-get install etcd-server")
    peers = f"http://127.0.0.1:{free_port()}"
    arguments = {
        "name": "one",
        "data-dir": str(folder),
        "listen-client-urls": f"http://{address}",
        "advertise-client-urls": f"http://{address}",
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"one={peers}",
    }
    options = [f"--{name}={value}" for name, value in arguments.items()]
    with folder.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(tethered([program, *options], signal.SIGTERM), stdout=log, stderr=log)
