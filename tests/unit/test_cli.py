"""The command line's output about the files and answers that it read."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.cli.bench import bench_command
from services.cli.failure import Failure
from services.cli.status import duration, notices, read_models, webhooks
from services.cli.up.directory import DataDirectory, default_directory
from services.cli.up.servers import redacted, without_password
from services.cli.up.up import command_at, examples, status_command
from shared.progress import Progress


def test_a_parked_generation_is_a_trouble_and_its_lag_is_said_in_three_ways() -> None:
    line = read_models(Progress(20, 3, 12, 65.0, 13, "KeyError: 'gaia'", 130.0))
    assert (line.position, line.behind) == (12, 8)
    assert line.note == "generation 3, moved 65.0 s ago, oldest event not applied is 2 min old"
    assert line.trouble == "parked at position 13: KeyError: 'gaia'"


def test_a_level_generation_is_no_trouble() -> None:
    line = read_models(Progress(20, 3, 20, 7_200.0, None, None, None))
    assert (line.behind, line.note, line.trouble) == (0, "generation 3, moved 2 h ago", None)


def test_no_live_generation_is_a_trouble() -> None:
    assert read_models(Progress(20, None, None, None, None, None, None)).trouble


def test_notices_that_are_two_hours_late_are_a_trouble_and_those_that_nobody_tells_are_none() -> None:
    level = Progress(20, 3, 20, 1.0, None, None, None)
    assert notices(level).trouble is None
    told = notices(level._replace(noticed=18, told_s=3_000.0, unpublished=3))
    assert (told.position, told.behind, told.trouble) == (18, 2, None)
    assert told.note == "complete up to 50 min ago, 3 wait for the stream"
    assert "hourbook notify" in (notices(level._replace(told_s=7_300.0)).trouble or "")


def test_webhooks_are_shown_when_there_are_any() -> None:
    level = Progress(20, 3, 20, 1.0, None, None, None)
    assert webhooks(level) == []
    (line,) = webhooks(level._replace(delivered=15, dead_letters=2, webhooks_disabled=1, webhooks_ended=3))
    assert (line.position, line.behind) == (15, 5)
    assert line.note.startswith("the slowest one, 1 disabled, 3 ended: the makers have no right to them")
    assert ", 2 messages given up" in line.note


@pytest.mark.parametrize(("seconds", "said"), [(-0.1, "0.0 s"), (119.9, "119.9 s"), (180, "3 min"), (3e6, "35 d")])
def test_durations_have_one_unit(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:p%40ss@db:5432/x?sslmode=disable", "postgresql://me:***@db:5432/x?sslmode=disable"),
        ("postgresql://db/x?user=me&password=p%40ss", "postgresql://db/x?…"),
        ("nats://a-token@db:4222", "nats://***@db:4222"),
        ("postgresql://me:p%40ss@[::1/x", "postgresql://…"),
        ("nats://me:p@a:1,nats://me:p@b:2", "nats://me:***@a:1,nats://me:***@b:2"),
        ("nats://a-token@a:1", "nats://***@a:1"),
        ("tls://a-token@a:1,tls://me:p@b", "tls://***@a:1,tls://me:***@b"),
        ("nats://me:se/cret@a:1", "nats://…"),
        ("postgresql://me:se#cret@a:1/x", "postgresql://…"),
        ("me:p@host:4222", "me:***@host:4222"),
        ("a-token@host:4222", "***@host:4222"),
        ("postgresql://me@a:1,b:2/x", "postgresql://me@a:1,b:2/x"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p%40ss@db/x",
        "postgresql://db/x?password=p%40ss&user=me",
        "n://:p%40ss@[::1/x",
        "nats://p%40ss@a:1",
        "p%40ss@a:1",
    ],
)
def test_what_a_program_said_is_repeated_without_the_password(url: str) -> None:
    said = redacted(f"cannot use {url}: p@ss and p%40ss are wrong", url)
    assert said.endswith(": *** and *** are wrong")
    assert "%40" not in said


def test_an_address_without_a_password_is_repeated_as_it_is() -> None:
    assert redacted("no nats://db:4222/x?y=1 here", "nats://db:4222/x?y=1") == "no nats://db:4222/x?y=1 here"


def test_the_examples_ask_for_a_period_that_is_not_over() -> None:
    now = datetime(2026, 2, 27, 13, tzinfo=UTC)
    assert '"startdate": "2026-02-27", "enddate": "2026-03-05"' in examples("http://127.0.0.1:1", now)


def test_the_bench_is_handed_its_options() -> None:
    run = [sys.executable, "-m", "services.cli", "bench", "--seconds", "0.1", "six"]
    answer = subprocess.run(run, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 2
    assert """Invalid value "six" for MEASURES. Choose from: "1", "2",""" in answer.stderr


def test_an_installed_package_says_where_to_measure(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="checkout of the source"):
        bench_command(tmp_path, ())


def test_the_commands_that_up_shows_name_its_address_and_its_directory_unless_they_are_the_default_ones(
    tmp_path: Path,
) -> None:
    environment = {"XDG_DATA_HOME": str(tmp_path)}
    assert command_at("http://127.0.0.1:8080", "demo") == "hourbook demo"
    assert command_at("http://127.0.0.1:9090", "demo") == "hourbook demo --url http://127.0.0.1:9090"
    assert status_command(DataDirectory(default_directory(environment)), environment) == "hourbook status"
    elsewhere = DataDirectory(tmp_path / "my data")
    assert status_command(elsewhere, environment) == f"hourbook status --data-dir '{tmp_path}/my data'"
