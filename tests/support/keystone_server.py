"""The real OpenStack Keystone as a program: `keystone_server.py FOLDER PORT PASSWORD`.

It makes the database (SQLite), the keys and the user `admin` in FOLDER, then serves on the loopback address until its
input ends, as it does when the tests are killed. It runs in an environment of its own, that of the dependency group
`keystone`; it imports nothing of Hourbook.
"""

import base64
import os
import sys
import threading
import warnings
from pathlib import Path

CONFIGURATION = """
[DEFAULT]
default_log_levels = keystone=WARNING
[database]
connection = sqlite:///{folder}/keystone.db
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/fernet
[identity]
password_hash_rounds = 4
[cache]
enabled = false
"""


def prepare(folder: Path) -> Path:
    keys = folder / "fernet"
    keys.mkdir(mode=0o700)
    for name in ("0", "1"):
        (keys / name).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
        (keys / name).chmod(0o600)
    configuration = folder / "keystone.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder))
    return configuration


def bootstrap(configuration: Path, url: str, password: str) -> None:
    """Runs in a child: what it loads cannot be loaded again by the application."""
    import keystone.server
    from keystone.cmd.bootstrap import Bootstrapper
    from keystone.common.sql.upgrades import offline_sync_database_to_version

    keystone.server.configure(config_files=[str(configuration)])
    offline_sync_database_to_version()
    first = Bootstrapper()
    first.admin_username = first.project_name = first.admin_role_name = "admin"
    first.admin_password = password
    first.service_name, first.region_id, first.public_url = "keystone", "one", url
    first.immutable_roles = True
    first.bootstrap()


def end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main(folder: Path, port: int, password: str) -> None:
    warnings.simplefilter("ignore")
    configuration = prepare(folder)
    from keystone.server.flask import core
    from waitress import serve

    if os.fork() == 0:
        bootstrap(configuration, f"http://127.0.0.1:{port}/v3", password)
        os._exit(0)
    _, status = os.wait()
    if status:
        sys.exit(f"the bootstrap failed: {status}")
    application = core.initialize_application("public", config_files=[str(configuration)])
    threading.Thread(target=end_with_input, daemon=True).start()
    serve(application, host="127.0.0.1", port=port, threads=4, _quiet=True)


if __name__ == "__main__":
    program, where, number, secret = sys.argv
    sys.argv = [program]  # Keystone reads it, too
    main(Path(where), int(number), secret)
