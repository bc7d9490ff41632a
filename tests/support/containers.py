"""PostgreSQL and NATS in containers that may be killed and started again: their ports and their data stay."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import time
from pathlib import Path
from typing import Any, TypeVar

from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer

from services.cli.nats_config import text
from services.cli.up.embedded import free_port
from services.cli.up.embedded_nats import new_password
from shared.nats_access.config import variable
from shared.nats_access.users import ADMIN, TOGETHER, USERS

DEPLOY = Path(__file__).parents[2] / "deploy"
SUBSCRIBERS = "nats-subscribers.conf"
START_TIMEOUT_S = 60.0
ServerType = TypeVar("ServerType", bound="InContainer")


class InContainer:
    """A server's container, as a context: it is removed at the end of the block."""

    def __init__(self, container: DockerContainer, inner_port: int) -> None:
        self.port = free_port()  # a port that Docker chose would be another one after a restart
        self._container = container.with_bind_ports(inner_port, self.port)
        self._made = False

    def __enter__(self: ServerType) -> ServerType:
        try:
            self.start()
        except BaseException:
            self._container.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._container.stop()

    @property
    def host(self) -> str:
        return self._container.get_container_host_ip()

    def start(self) -> None:
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
        self._made = True
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            assert time.monotonic() < deadline, self._container.get_logs()
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        wrapped: Any = self._container.get_wrapped_container()
        wrapped.kill(signal=how.name)
        wrapped.wait()

    def answers(self) -> bool:
        raise NotImplementedError


class PostgresInContainer(InContainer):
    def __init__(self, image: str) -> None:
        self._password = secrets.token_urlsafe(12)
        super().__init__(
            PostgresContainer(image, username="hourbook", password=self._password, dbname="hourbook"), 5432
        )

    @property
    def url(self) -> str:
        return self.url_of("hourbook")

    def url_of(self, database: str) -> str:
        return f"postgresql://hourbook:{self._password}@{self.host}:{self.port}/{database}?sslmode=disable"

    def answers(self) -> bool:
        return self._container.exec(["pg_isready", "-h", "127.0.0.1", "-U", "hourbook"]).exit_code == 0


class NatsInContainer(InContainer):
    def __init__(self, image: str) -> None:
        self._passwords = {user.name: new_password() for user in (*USERS, TOGETHER)}
        container = DockerContainer(image).with_command(["-c", "/hourbook/nats.conf"])
        ours = (DEPLOY / "nats.conf").read_text()
        assert text(one_user=False) in ours
        with_one_user = ours.replace(text(one_user=False), text(one_user=True))
        container = container.with_copy_into_container(with_one_user.encode(), "/hourbook/nats.conf")
        container = container.with_copy_into_container(DEPLOY / SUBSCRIBERS, f"/hourbook/{SUBSCRIBERS}")
        for user, password in self._passwords.items():
            container = container.with_env(variable(user), password)
        super().__init__(container, 4222)

    @property
    def url(self) -> str:
        return self.url_of(ADMIN.name)

    def url_of(self, user: str) -> str:
        return f"nats://{user}:{self._passwords[user]}@{self.host}:{self.port}"

    def answers(self) -> bool:
        """Docker takes the connection before the server does: what counts is that it says INFO."""
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1.0) as connection:
            return connection.recv(4) == b"INFO"
        return False
