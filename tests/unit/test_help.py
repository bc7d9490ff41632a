"""Every command explains itself, and the list of the commands loads none of them."""

import os
import subprocess
import sys

import pytest

from services.cli.main import (
    AUDIT,
    BOOKINGS,
    COMPLETION,
    DEVELOPMENT,
    HERE,
    IMPORT,
    NATS_CONFIG,
    PARTS,
    PEOPLE,
    PROFILE,
    ROLES,
    SUBSCRIBER,
    SYNC,
    TOKEN,
    command_line,
    name_of,
)
from shared.version import VERSION

GROUPS = {
    (): BOOKINGS | COMPLETION | HERE | PARTS | DEVELOPMENT | NATS_CONFIG,
    ("profile",): PROFILE,
    ("token",): TOKEN,
    ("roles",): ROLES,
    ("people",): PEOPLE,
    ("subscriber",): SUBSCRIBER,
    ("audit",): AUDIT,
    ("import",): IMPORT,
    ("sync",): SYNC,
}
COMMANDS = [(*group, name_of(place), text) for group, commands in GROUPS.items() for place, text in commands.items()]
# To import one of these takes a large part of the time in which `hourbook --help` must answer.
SLOW = {"aiohttp", "asyncpg", "msgspec", "nats", "numpy", "psutil", "openstack"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:-1]))
def test_a_command_shows_its_help_and_describes_each_parameter(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    *words, text = command
    app = command_line()
    app([*words, "--help"], result_action="return_value")
    shown = " ".join(capsys.readouterr().out.split())
    assert text.partition("\n")[0].replace("`", "") in shown
    for word in words:
        app = app[word]
    arguments = app.assemble_argument_collection(parse_docstring=True)
    assert not [argument.name for argument in arguments if argument.show and not argument.parameter.help]


def test_the_list_of_commands_imports_none_of_them() -> None:
    program = (
        "import sys\n"
        "from services.cli.main import command_line\n"
        "command_line()(['--help'], result_action='return_value')\n"
        f"print('loaded', sorted({SLOW} & sys.modules.keys()))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert all(f"│ {command[0]} " in shown for command in COMMANDS)
    assert shown.endswith("loaded []\n")


def test_the_help_of_the_commands_for_people_imports_nothing_slow() -> None:
    program = (
        "import sys\n"
        "from services.cli.main import command_line\n"
        f"for command in {[name_of(place) for place in BOOKINGS]}:\n"
        "    command_line()([command, '--help'], result_action='return_value')\n"
        f"print('loaded', sorted({SLOW | {'whenever'}} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.endswith("loaded []\n")


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    command_line()(["--version"], result_action="return_value")
    assert capsys.readouterr().out == f"{VERSION}\n"


def bar_of(stderr: int, **environment: str) -> None:
    program = "from shared.progress_bar import progress_bar\nwith progress_bar() as tell: tell('export', 2_000, 4_000)"
    environment = {**os.environ, "TERM": "xterm", **environment}
    subprocess.run([sys.executable, "-c", program], stderr=stderr, env=environment, check=True, timeout=60)


def test_the_progress_of_a_long_command_is_shown_on_a_terminal_and_nowhere_else() -> None:
    terminal, end = os.openpty()
    bar_of(end)
    os.close(end)
    assert b"export: 2,000 of 4,000 events" in os.read(terminal, 65_536)
    os.close(terminal)
    reading, writing = os.pipe()
    bar_of(writing, FORCE_COLOR="1")  # as a build server sets it
    os.close(writing)
    assert os.read(reading, 65_536) == b""
    os.close(reading)
