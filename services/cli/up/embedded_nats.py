"""NATS as a child process, run from the wheel that contains it: its users, its subscribers and its configuration."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from fcntl import LOCK_EX, flock
from pathlib import Path

import bcrypt
import msgspec

from services.cli.up.embedded import free_port, stop_process, wait_for_port
from services.cli.up.private_files import make_private_folder, open_private
from services.cli.up.tether import tethered
from shared.nats_access.config import accounts, subscriber_account
from shared.nats_access.users import ACCOUNT, ADMIN, USERS, User

# A password of 256 random bits needs no slow hash: nobody can try them all. Each connection waits for the hash.
HASH_ROUNDS = 4


class Subscriber(msgspec.Struct, frozen=True):
    """A subscriber and the hash of its password. `projects` is empty when it may read all projects."""

    name: str
    projects: tuple[str, ...]
    hash: str


class Login(msgspec.Struct, frozen=True):
    """A user's password, and the hash of it that the server knows."""

    password: str
    hash: str


class NatsFiles:
    """The private files of one embedded NATS server: passwords, subscribers, configuration, port."""

    def __init__(self, directory: Path, users: tuple[User, ...] = USERS) -> None:
        self.directory, self.config, self._users = directory, directory / "nats.conf", users
        self._passwords, self._subscribers = directory / "passwords.json", directory / "subscribers.json"
        self._port = directory / "port"

    def logins(self) -> dict[str, Login]:
        """The password of each user, by the user's name. A user who has none yet gets a random one."""
        try:
            known = msgspec.json.decode(self._passwords.read_bytes(), type=dict[str, Login])
        except FileNotFoundError:
            known = {}
        missing = {user.name: new_login() for user in self._users if user.name not in known}
        if missing:
            known |= missing
            _replace(self._passwords, msgspec.json.format(msgspec.json.encode(known)))
        return known

    def subscribers(self) -> list[Subscriber]:
        try:
            return msgspec.json.decode(self._subscribers.read_bytes(), type=list[Subscriber])
        except FileNotFoundError:
            return []

    def set_subscribers(self, subscribers: list[Subscriber]) -> None:
        _replace(self._subscribers, msgspec.json.format(msgspec.json.encode(subscribers)))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """While the block runs, no other process changes the subscribers or the configuration."""
        with open_private(self.directory / "lock", "a") as lock:
            flock(lock, LOCK_EX)
            yield

    def port(self) -> int:
        """The port of the last run, if it is free: the addresses that subscribers have stay right."""
        with contextlib.suppress(OSError, ValueError), socket.socket() as probe:
            port = int(self._port.read_text())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
        return free_port()

    def write_config(self, port: int) -> None:
        """Writes the configuration of a server on `port`. It has hashes of the passwords."""
        hashes = {user: quoted(login.hash) for user, login in self.logins().items()}
        lines = [
            line
            for subscriber in self.subscribers()
            for line in subscriber_account(subscriber.name, quoted(subscriber.hash))
        ]
        _replace(self._port, f"{port}\n".encode())
        text = (
            f'host: "127.0.0.1"\nport: {port}\n'
            f'jetstream {{ store_dir: "{self.directory / "data"}", sync_interval: always }}\n'
            f"{accounts(self._users, hashes.__getitem__, lines)}"
        )
        _replace(self.config, text.encode())

    def keep_streams(self) -> None:
        """Moves the streams of a version that had no accounts into the account that has them now."""
        streams = self.directory / "data" / "jetstream"
        if (streams / "$G").is_dir() and not (streams / ACCOUNT).exists():
            (streams / "$G").rename(streams / ACCOUNT)


class EmbeddedNats:
    """A NATS server with JetStream on 127.0.0.1, its data in `directory`. It syncs a message before it acknowledges."""

    def __init__(
        self, directory: Path, port: int | None = None, log: Path | None = None, users: tuple[User, ...] = USERS
    ) -> None:
        self.directory, self.log = directory, log or directory / "log"
        self.files = NatsFiles(directory, users)
        self.port = port or self.files.port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for the administrator, with the password."""
        return self.url_of(ADMIN.name)

    def url_of(self, user: str) -> str:
        """The address for a user, with the password. Call it after `start`."""
        return url_for(user, self.files.logins()[user].password, self.port)

    def start(self) -> None:
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        make_private_folder(self.directory)
        self.files.keep_streams()
        with self.files.locked():
            self.files.write_config(self.port)
        with open_private(self.log, "ab") as log:
            self.process = subprocess.Popen(
                tethered(
                    [str(Path(sys.executable).parent / "nats-server"), "-c", str(self.files.config)], signal.SIGTERM
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for_port(self.process, self.port, "NATS", self.log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        stop_process(self.process, how)


def url_for(user: str, password: str, port: int) -> str:
    return f"nats://{user}:{password}@127.0.0.1:{port}"


def new_login() -> Login:
    password = new_password()
    return Login(password, hashed(password))


def new_password() -> str:
    """256 random bits. The first character is a letter: in a variable, NATS reads some texts as numbers."""
    return f"p{secrets.token_urlsafe(32)}"


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(HASH_ROUNDS)).decode()


def quoted(text: str) -> str:
    return f'"{text}"'


def _replace(path: Path, content: bytes) -> None:
    """Replaces a private file in one step: a reader sees the old one or the new one."""
    new = path.with_name(f"{path.name}.new")
    with open_private(new, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
