"""A NATS server as the settings name it: its address, and what proves to each side who the other is."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec
import nats.errors
from nats.aio.client import Client

SECURE = ("tls", "wss")
SCHEMES = ("nats", "ws", *SECURE)
URL, CA_FILE = "HOURBOOK_NATS_URL", "HOURBOOK_NATS_CA_FILE"
CERT_FILE, KEY_FILE = "HOURBOOK_NATS_CERT_FILE", "HOURBOOK_NATS_KEY_FILE"
REFUSED = "authorization violation"
CREDENTIALS_FILE = "HOURBOOK_NATS_CREDENTIALS_FILE"

Replicas = Annotated[int, msgspec.Meta(ge=1, le=5)]
FILES = (CA_FILE, CERT_FILE, KEY_FILE, CREDENTIALS_FILE)


class BadNatsSetting(ValueError):
    """A setting of the NATS server is wrong. The message names the setting, and shows no password."""


class NatsServer(msgspec.Struct, frozen=True):
    """`url` may contain a user and a password, or a token. The files are paths; an empty text: none.

    `ca_file`: the certificates that are trusted, instead of the system's. `cert_file` and `key_file`: the certificate
    of this client. `credentials_file`: a NATS credentials file (JWT and seed), instead of a password.

    `replicas`: how many copies each stream of ours has there (`keep_stream` in shared/streams.py).
    """

    url: str
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    credentials_file: str = ""
    replicas: int | None = None

    def options(self) -> dict[str, Any]:
        """The arguments of nats-py's `connect` that say where and as whom. Raises BadNatsSetting.

        The addresses among them have no password, so an error of nats-py cannot show it.
        """
        servers = [_address(server) for server in self.url.split(",")]
        options: dict[str, Any] = {"servers": [_without_user(server) for server in servers]}
        options |= next((user for server in servers if (user := _user(server))), {})
        if (tls := self._tls([server.scheme in SECURE for server in servers])) is not None:
            options["tls"] = tls
        if self.credentials_file:
            _check_file(CREDENTIALS_FILE, self.credentials_file)
            options["user_credentials"] = self.credentials_file
        return options

    def _tls(self, secure: list[bool]) -> ssl.SSLContext | None:
        """`secure` says of each server whether its address asks for TLS."""
        if not any(secure):
            if self.ca_file or self.cert_file:
                named = CA_FILE if self.ca_file else CERT_FILE
                raise BadNatsSetting(f"{named} is set: {URL} should begin with tls://, so that the server is checked")
            return None
        if not all(secure):
            raise BadNatsSetting(f"{URL} names several servers: all of them should begin with tls://, or none")
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise BadNatsSetting(f"{CA_FILE} should name a file of certificates (PEM): {error}") from None
        self._add_certificate(context)
        return context

    def _add_certificate(self, context: ssl.SSLContext) -> None:
        if bool(self.cert_file) != bool(self.key_file):
            raise BadNatsSetting(f"set both {CERT_FILE} and {KEY_FILE}, or none of them")
        if self.cert_file:
            try:
                context.load_cert_chain(self.cert_file, self.key_file)
            except (OSError, ssl.SSLError) as error:
                raise BadNatsSetting(
                    f"{CERT_FILE} and {KEY_FILE} should name a certificate and its key: {error}"
                ) from None


class ConnectionLost(nats.errors.Error):
    """The connection was lost while a request waited for its answer. Whether the server did it is unknown."""

    def __str__(self) -> str:
        return "the connection to the server was lost before its answer came"


class NatsClient(Client):
    """A client that keeps what `tls://` promises. nats-py alone sends the password in clear when the server, or
    somebody between, says that it has no TLS.

    It connects to no other servers than those that it was given. nats-py alone adds every address that a server of a
    cluster tells. When its connection is lost, requests that wait fail at once with ConnectionLost, and what the server
    has not taken yet is dropped. nats-py alone waits for a silent server to take it.

    The functions that it overrides are private: tests/integration/test_nats_client.py says for which versions they
    were read.
    """

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        await super()._process_info({**info, "connect_urls": None}, initial_connection)

    async def _connect_to_server(self, s: Any) -> None:
        self._abort()  # the server before may have taken the connection and then said nothing
        await super()._connect_to_server(s)

    async def _process_op_err(self, e: Exception) -> None:
        await super()._process_op_err(e)
        if not self.is_connected:
            self.abandon()

    def _abort(self) -> None:
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    def abandon(self) -> None:
        """Ends the connection without a word to the server, and lets requests fail that wait for an answer."""
        self._abort()
        for answer in list(self._resp_map.values()):
            if not answer.done():
                answer.set_exception(ConnectionLost())

    def _connect_command(self) -> bytes:
        # The message with the user and the password.
        if "tls" in self.options and not self._server_info.get("tls_required"):
            raise nats.errors.SecureConnWantedError
        return bytes(super()._connect_command())


class NatsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a service about NATS, besides its address: `HOURBOOK_NATS_CA_FILE`, `…_NATS_CERT_FILE`,
    `…_NATS_KEY_FILE`, `…_NATS_CREDENTIALS_FILE`, `HOURBOOK_STREAM_REPLICAS`."""

    nats_ca_file: str = ""
    nats_cert_file: str = ""
    nats_key_file: str = ""
    nats_credentials_file: str = ""
    stream_replicas: Replicas | None = None


@runtime_checkable
class HasNatsFiles(Protocol):
    """The settings of a service that has the fields of `NatsFiles`. A struct has one base only."""

    @property
    def nats_ca_file(self) -> str: ...

    @property
    def nats_cert_file(self) -> str: ...

    @property
    def nats_key_file(self) -> str: ...

    @property
    def nats_credentials_file(self) -> str: ...


def server_at(url: str, files: HasNatsFiles, replicas: int | None = None) -> NatsServer:
    """The server at `url`, with the files of the settings."""
    return NatsServer(
        url, files.nats_ca_file, files.nats_cert_file, files.nats_key_file, files.nats_credentials_file, replicas
    )


def _address(server: str) -> SplitResult:
    """An address in its parts. Raises BadNatsSetting when a part is not read as it was meant."""
    server = server.strip()
    with contextlib.suppress(ValueError):
        parts = urlsplit(server if "://" in server else f"nats://{server}")
        extra = parts.query or parts.fragment or parts.path.strip("/")
        if parts.scheme in SCHEMES and parts.hostname and parts.port != 0 and not extra:
            return parts
    raise BadNatsSetting(
        f"{URL} should be nats://USER:PASSWORD@HOST:PORT, or tls:// for an encrypted connection; in a user and a "
        "password, write %25 for %, %2F for /, %3A for :, %40 for @, %23 for #, %3F for ?"
    )


def _without_user(server: SplitResult) -> str:
    return server._replace(netloc=server.netloc.rpartition("@")[2]).geturl()


def _user(server: SplitResult) -> dict[str, str]:
    """The user and the password of an address; a user without a password is a token; empty when there is no user."""
    if not server.username:
        return {}
    if server.password is None:
        return {"token": unquote(server.username)}
    return {"user": unquote(server.username), "password": unquote(server.password)}


def _check_file(setting: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise BadNatsSetting(f"{setting} should name a file that can be read: {error}") from None


def is_refusal(error: Exception) -> bool:
    """Whether the server refuses the user or the password."""
    return isinstance(error, nats.errors.AuthorizationError) or REFUSED in str(error).lower()


def why(error: Exception) -> str:
    """An error of the connection in words. It names the setting to look at, and shows no password."""
    words = f"{type(error).__name__}: {error}".removesuffix(": ")
    if is_refusal(error):
        return f"the server refuses the user or the password of {URL} (or {CREDENTIALS_FILE})"
    if isinstance(error, nats.errors.SecureConnWantedError):
        return f"the server offers no TLS, and {URL} begins with tls://"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message}; see {CA_FILE} and the name in {URL}"
    return words
