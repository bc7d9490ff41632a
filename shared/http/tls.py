"""HTTPS: the TLS context of a server, and that of a client which trusts an authority of the operator's own."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

from shared.http.server_settings import TLS_CERT, TLS_KEY, CannotServe, ServerSettings

CA_FILE = "HOURBOOK_CA_FILE"

log = logging.getLogger(__name__)


def server_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """The context with the certificate and the key of the settings; None if they name none. TLS 1.2 or newer. Raises
    CannotServe, which names the setting and the file. Warns if others may read the key."""
    if not settings.tls_cert_file:
        return None
    certificate, key = Path(settings.tls_cert_file), Path(settings.tls_key_file)
    _check_readable(certificate, TLS_CERT)
    _check_readable(key, TLS_KEY)
    if key.stat().st_mode & 0o077:
        log.warning("%s: other users may read %s; `chmod 600` it", TLS_KEY, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise CannotServe(
            f"{TLS_CERT} ({certificate}) and {TLS_KEY} ({key}) are not a certificate and its key, in PEM and without a "
            f"password: {reason}"
        ) from None
    return context


def client_context(ca_file: str) -> ssl.SSLContext | bool:
    """What aiohttp's `ssl` takes: a context that trusts the authorities in the file alone, or True for the system's.
    Raises OSError, and ssl.SSLError if the file has no certificate."""
    return ssl.create_default_context(cafile=ca_file) if ca_file else True


def _check_readable(file: Path, setting: str) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise CannotServe(f"{setting}: {file}: {os.strerror(error.errno or 0)}") from None


def _no_password() -> str:
    """Without this, OpenSSL asks the terminal for the password of a key, and waits."""
    return ""
