"""deploy/nats.conf and deploy/compose.yaml are made of the users' permissions, and have no password of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from services.cli.nats_config import nats_config, text
from services.cli.up.embedded_nats import EmbeddedNats, NatsFiles, new_password
from shared.nats_access.config import from_environment, variable
from shared.nats_access.users import ADMIN, SERVICES, TOGETHER, USERS, User

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIG = DEPLOY / "nats.conf"
SERVER = Path(sys.executable).parent / "nats-server"


def checked(config: Path, **passwords: str) -> subprocess.CompletedProcess[str]:
    """What the server says about a configuration."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOURBOOK_")}
    return subprocess.run(
        [str(SERVER), "-t", "-c", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env=environment | passwords,
    )


def test_the_configuration_for_containers_is_that_of_the_permissions(capsys: pytest.CaptureFixture[str]) -> None:
    assert CONFIG.read_text().partition("\naccounts {")[2] == text(False).partition("accounts {")[2]
    nats_config()
    assert capsys.readouterr().out == text(False)
    nats_config(one_user=True)
    assert from_environment(TOGETHER.name) in capsys.readouterr().out


def test_the_server_takes_it_only_with_a_password_for_each_user() -> None:
    passwords = {variable(user.name): new_password() for user in USERS}
    assert checked(CONFIG, **passwords).returncode == 0
    for name in passwords:
        answer = checked(CONFIG, **{other: value for other, value in passwords.items() if other != name})
        assert answer.returncode != 0
        assert name in answer.stderr


def test_a_server_of_a_cluster_has_its_name_and_the_routes_from_its_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nats_config(cluster=True)
    config, subscribers = tmp_path / "nats.conf", tmp_path / "nats-subscribers.conf"
    config.write_text(f'jetstream {{ store_dir: "{tmp_path}", sync_interval: always }}\n{capsys.readouterr().out}')
    subscribers.touch()
    password = new_password()
    cluster = {
        "HOURBOOK_NATS_SERVER_NAME": "nats-1",
        "HOURBOOK_NATS_ROUTES": f'["nats://route:{password}@nats-1:6222", "nats://route:{password}@nats-2:6222"]',
        variable("route"): password,
    }
    users = {variable(user.name): new_password() for user in USERS}
    answer = checked(config, **users, **cluster)
    assert answer.returncode == 0, answer.stderr
    for name in cluster:
        answer = checked(config, **users, **{other: value for other, value in cluster.items() if other != name})
        assert (answer.returncode != 0, name in answer.stderr) == (True, True)


def test_the_script_makes_a_password_for_each_user() -> None:
    made = subprocess.run(["sh", str(DEPLOY / "passwords.sh")], capture_output=True, text=True, check=True, timeout=30)
    lines = dict(line.split("=") for line in made.stdout.split())
    assert {variable(user.name) for user in USERS} <= set(lines)
    assert all(re.fullmatch("p[0-9a-f]{64}", lines[variable(user.name)]) for user in USERS)
    assert len(set(lines.values())) == len(lines)


def test_each_container_has_the_password_of_its_user_only() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for user in SERVICES:
        settings = services[user.name]["environment"]
        assert settings["HOURBOOK_NATS_URL"] == f"nats://{user.name}:${{{variable(user.name)}:?}}@nats:4222"
    for name, service in services.items():
        named = set(re.findall(r"HOURBOOK_NATS_\w+_PASSWORD", str(service.get("environment", {}))))
        if name == "nats":
            assert named == {variable(user.name) for user in USERS}
        elif name == "operator":  # it runs only while an operator uses it
            assert (named, service["profiles"]) == ({variable(ADMIN.name)}, ["operator"])
        else:
            assert named == {variable(user.name) for user in SERVICES if user.name == name}


def test_where_people_sign_in_each_service_that_asks_who_reads_the_auth_file() -> None:
    opened = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    signed_in = yaml.safe_load((DEPLOY / "compose.signed-in.yaml").read_text())["services"]
    asking = {name for name, one in opened.items() if "HOURBOOK_OPEN" in one.get("environment", {})}
    assert signed_in.keys() == asking - {"audit-key"}  # that one writes a file, and ends
    for service in signed_in.values():
        assert service["environment"]["HOURBOOK_OPEN"] == ""
        assert service["environment"]["HOURBOOK_AUTH_FILE"] == "/etc/hourbook/auth.toml"
        assert service["volumes"] == ["./auth:/etc/hourbook:ro"]


@pytest.mark.parametrize("user", [*SERVICES, TOGETHER], ids=lambda user: user.name)
def test_no_service_has_a_wildcard_or_may_delete(user: User) -> None:
    requests = [subject for subject in user.publish if subject.startswith("$")]
    assert not [subject for subject in requests if "*" in subject or ">" in subject]
    assert not [subject for subject in requests if re.search("DELETE|PURGE|SNAPSHOT|RESTORE|CONSUMER|DIRECT", subject)]
    assert ">" not in (*user.publish, *user.subscribe)


def test_the_relay_alone_may_publish_events() -> None:
    assert [user for user in USERS if any(one.startswith("hourbook.events") for one in user.publish)] == [
        user for user in USERS if user.name == "command"
    ]


def test_the_files_are_private_and_the_configuration_has_no_password(tmp_path: Path) -> None:
    files = NatsFiles(tmp_path)
    files.write_config(4222)
    passwords = {user: login.password for user, login in files.logins().items()}
    assert set(passwords) == {user.name for user in USERS}
    assert len(set(passwords.values())) == len(passwords)
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
        if file.name != "passwords.json":
            assert not [one for one in passwords.values() if one in file.read_text()]
    again = NatsFiles(tmp_path)
    assert {user: login.password for user, login in again.logins().items()} == passwords
    assert EmbeddedNats(tmp_path, port=1).url_of(ADMIN.name) == f"nats://admin:{passwords['admin']}@127.0.0.1:1"
