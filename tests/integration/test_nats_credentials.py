"""A service signs in to NATS with a credentials file, where the server trusts an operator's key."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nkeys

from services.cli.up.embedded import free_port, stop_process, wait_for_port
from shared.jetstream import leave
from shared.nats_server import NatsClient, NatsServer

CREDENTIALS = """-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""


class Identity:
    """A key of NATS, and the documents that it signs."""

    def __init__(self, prefix: int) -> None:
        self.seed = nkeys.encode_seed(secrets.token_bytes(32), prefix)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.name = self._pair.public_key.decode()

    def signed(self, subject: str, kind: str, **claims: Any) -> str:
        body = {
            "jti": secrets.token_hex(16),
            "iat": int(time.time()),
            "iss": self.name,
            "sub": subject,
            "nats": {"type": kind, "version": 2, **claims},
        }
        parts = [encoded(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, body)]
        return ".".join([*parts, encoded(self._pair.sign(".".join(parts).encode()))])


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_credentials_file_signs_in_and_another_one_does_not(tmp_path: Path) -> None:
    operator, account = Identity(nkeys.PREFIX_BYTE_OPERATOR), Identity(nkeys.PREFIX_BYTE_ACCOUNT)
    stranger = Identity(nkeys.PREFIX_BYTE_ACCOUNT)
    limits = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1, "leaf": -1}
    port, config, log = free_port(), tmp_path / "nats.conf", tmp_path / "log"
    config.write_text(
        f'host: "127.0.0.1"\nport: {port}\noperator: {operator.signed(operator.name, "operator")}\nresolver: MEMORY\n'
        f"resolver_preload: {{ {account.name}: {operator.signed(account.name, 'account', limits=limits)} }}\n"
    )
    with log.open("wb") as output:
        program = str(Path(sys.executable).parent / "nats-server")
        process = subprocess.Popen([program, "-c", str(config)], stdout=output, stderr=output)
    try:
        wait_for_port(process, port, "NATS", log)
        assert asyncio.run(connects(port, credentials(tmp_path / "mine.creds", account))), log.read_text()
        assert not asyncio.run(connects(port, credentials(tmp_path / "other.creds", stranger)))
    finally:
        stop_process(process, signal.SIGTERM)


def credentials(file: Path, account: Identity) -> str:
    user = Identity(nkeys.PREFIX_BYTE_USER)
    jwt = account.signed(user.name, "user", subs=-1, data=-1, payload=-1)
    file.write_text(CREDENTIALS.format(jwt=jwt, seed=user.seed.decode()))
    return str(file)


async def connects(port: int, file: str) -> bool:
    client, refused = NatsClient(), asyncio.Event()

    async def on_error(_: Exception) -> None:
        refused.set()

    server = NatsServer(f"nats://127.0.0.1:{port}", credentials_file=file)
    try:
        await client.connect(**server.options(), allow_reconnect=False, error_cb=on_error)
        await client.flush()
    except Exception:
        assert refused.is_set()
        return False
    finally:
        await leave(client)
    return True
