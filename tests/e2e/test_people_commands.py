"""The command line for people, against one `hourbook up`: its screens, docs/cli.md, and what it says of mistakes."""

import csv
import io
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.cli.up.embedded import free_port
from tests.support.people import Done, Reader, fill, masked, run_here, run_on_terminal, shown_in
from tests.support.running import WAIT_S, Running, hear_ctrl_c, inherited

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
SCREENS = Path(__file__).parent / "screens"
RANGE = ("--range", "2086-06-01,2086-06-14")
# By the name of the file: the columns of the terminal, and the command. `plain`: with NO_COLOR.
SCREEN_COMMANDS = {
    "free-80": (80, ("free", "gaia", *RANGE)),
    "free-80-plain": (80, ("free", "gaia", *RANGE)),
    "free-120": (120, ("free", "gaia", *RANGE)),
    "free-one-80": (80, ("free", "gaia.hub", "--range", "2086-06-01,2086-06-04")),
    "list-80-plain": (80, ("list", "gaia", "--all", "--tree", "--range", "2086-06-01,2086-06-06")),
}
WRITES_SCREENS = "WRITE_SCREENS" in os.environ


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("up") / "output", "--ephemeral") as up:
        fill(up.url)
        yield up


@pytest.fixture
def home(filled: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the profiles, with one in it: `test`, whose times are in UTC. The user is ada."""
    for name in [name for name in os.environ if name.startswith("HOURBOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "ada")
    assert run_here("profile", "add", "test", "--url", filled.url, "--tz", "UTC").status == 0
    return tmp_path


def on_terminal(home: Path, columns: int, *words: str, typed: str = "", **environment: str) -> Done:
    given = {"XDG_CONFIG_HOME": str(home), "LOGNAME": "ada", "LANG": "C.UTF-8", **environment}
    return run_on_terminal(columns, *words, typed=typed, **given)


@pytest.mark.parametrize("name", SCREEN_COMMANDS)
def test_a_screen_is_as_it_was(home: Path, name: str) -> None:
    """WRITE_SCREENS=1 writes the files anew. Look at the difference."""
    columns, words = SCREEN_COMMANDS[name]
    is_plain = name.endswith("plain")
    shown = on_terminal(home, columns, *words, **({"NO_COLOR": "1"} if is_plain else {}))
    assert shown.status == 0, shown.out
    text = masked(shown.out).replace("\x1b", "ESC")
    file = SCREENS / f"{name}.txt"
    if WRITES_SCREENS:
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
    assert ("ESC[32m" in text) != is_plain


def test_every_command_line_of_the_page_does_what_the_page_shows(home: Path, filled: Running) -> None:
    reader = Reader(filled.url, home)
    (home / "hourbook" / "config.toml").unlink()  # the page makes its own profile
    lines = list(shown_in(PAGE))
    assert len(lines) > 15
    for line in lines:
        real = reader.run(line.command)
        assert masked(real) == masked(line.output), line.command
        reader.learn(line.output, real)


@pytest.mark.usefixtures("home")
def test_a_pipe_gets_plain_aligned_text_the_servers_json_or_csv(filled: Running) -> None:
    plain = run_here("free", "gaia", *RANGE).out
    assert "\x1b" not in plain
    assert "█" not in plain
    assert plain.splitlines()[4].split()[:4] == ["gaia", "64", "64", "56"]
    assert len({len(line) for line in plain.splitlines()[2:7]}) == 1
    given = run_here("free", "gaia", *RANGE, "-o", "json").out
    query = {"project": "gaia", "range": "2086-06-01T00:00Z,2086-06-15T00:00Z", "grain": "day", "tz": "UTC"}
    asked = httpx.get(f"{filled.url}/available/matrix", params={**query, "dimension": "cores"}, timeout=WAIT_S)
    assert json.loads(given)["rows"] == asked.json()["rows"]
    rows = list(csv.DictReader(io.StringIO(run_here("free", "gaia", *RANGE, "-o", "csv").out)))
    assert (rows[0]["pool"], rows[0]["start"], len(rows)) == ("gaia", "2086-06-01T00:00:00Z", 3 * 14)


def test_a_booking_is_shown_before_the_question_and_made_only_after_a_yes(home: Path) -> None:
    words = ("book", "euclid", "--cores", "2", "--from", "2086-08-01", "--for", "1 day")
    refused = on_terminal(home, 100, *words, typed="n\n")
    assert refused.status == 1
    assert refused.out.index("2 cores of euclid for ada") < refused.out.index("Book it? [y/N]")
    assert "nothing was changed" in refused.out
    listed = ("list", "euclid", "--range", "2086-08-01,2086-08-02", "-o", "csv")
    assert len(run_here(*listed).out.splitlines()) == 1
    assert "Booked." in on_terminal(home, 100, *words, typed="y\n").out
    assert len(run_here(*listed).out.splitlines()) == 2


def test_ctrl_c_at_the_question_ends_the_command_and_books_nothing(home: Path) -> None:
    words = ("book", "gaia", "--cores", "1", "--from", "2086-07-25", "--for", "1 day")
    assert on_terminal(home, 80, *words, typed="\x03").status == 130
    assert run_here("list", "gaia", "--range", "2086-07-25,2086-07-25").out.startswith("No bookings of ada")


def test_whoever_watches_a_server_that_is_not_there_is_told() -> None:
    done = run_here("watch", "--url", f"http://127.0.0.1:{free_port()}")
    assert done.status == 1
    assert "nothing listens there" in done.err


def test_a_narrow_terminal_shows_the_times_of_clusters_whole(home: Path) -> None:
    shown = on_terminal(home, 60, "clusters", "gaia", NO_COLOR="1").out
    assert "Sat 2086-06-01 00:00  Sun 2086-09-01 00:00" in shown


@pytest.mark.usefixtures("home")
def test_the_same_key_books_once_and_says_so_also_where_there_is_no_room_for_two() -> None:
    words = ("book", "euclid", "--cores", "40", "--from", "2086-08-11", "--for", "1 day", "--yes", "--key", "once")
    first, second = (run_here(*words).out.splitlines()[-1] for _ in range(2))
    assert first == second
    assert first.startswith("Booked. Its id is ")
    other = run_here(*words[:-1], "another")
    assert (other.status, "euclid" in other.err) == (3, True), other


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("book", "gaia", "--cores", "2", "--for", "1 day", "--from", "2086-06-03"), 2, "--yes: standard input is not"),
        (("book", "gaia", "--for", "1 day", "--from", "2086-06-03", "--yes"), 2, "--cores: say how much"),
        (("book", "gaia", "--cores", "2", "--from", "2086-06-03", "--yes"), 2, "--for: say how long"),
        (
            ("book", "gaia", "--cores", "999", "--for", "1 day", "--from", "2086-06-03", "--yes"),
            3,
            "not enough is free",
        ),
        (
            ("book", "gaia", "--template", "big", "--for", "1 day", "--from", "2086-06-03", "--yes"),
            2,
            "--template: there",
        ),
        (("book", "nope", "--cores", "2", "--for", "1 day", "--from", "2086-06-03", "--yes"), 1, "POOL: there is no"),
        (("slots", "--cores", "999", "--for", "1 day", "--from", "2086-06-03"), 3, "it fits nowhere"),
        (("free", "nope"), 1, "POOL: there is no project 'nope'"),
        (("free", "gaia", "--range", "2086-06-03"), 2, "--range: '2086-06-03' is not two times"),
        (("free", "gaia", "--tz", "Mars/Base"), 2, "--tz: there is no time zone"),
        (("show", "01890000-0000-7000-8000-000000000000"), 1, "there is no booking, series or grant"),
        (("cancel", "gaia", "--yes"), 2, "BOOKING: 'gaia' is no id of a booking"),
        (("list", "--profile", "nope"), 2, "--profile: there is no profile 'nope'; there are test"),
        (("list", "--url", "gaia.org"), 2, "--url: 'gaia.org' is no address"),
        (("list", "--url", "http://127.0.0.1:9"), 1, "cannot use http://127.0.0.1:9"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_has_its_exit_status_and_is_told_on_standard_error(
    words: tuple[str, ...], status: int, said: str
) -> None:
    done = run_here(*words)
    assert (done.status, "Traceback" in done.err) == (status, False), done.err
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_what_happens_is_shown_as_it_happens_until_ctrl_c(home: Path, filled: Running) -> None:
    """From before the example was made: the events until now, and then the next one."""
    command = [sys.executable, "-m", "services.cli", "watch", "euclid", "--output", "json", "--from", "yesterday"]
    given = {**inherited(), "XDG_CONFIG_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=given, preexec_fn=hear_ctrl_c) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["event"]["type"] == "ProjectCreated"
        body = {"project": "euclid", "account": "lin", "cores": 1, "startdate": "2086-08-20", "enddate": "2086-08-20"}
        httpx.post(f"{filled.url}/bookings/create", json=body, timeout=WAIT_S)
        assert any(json.loads(line)["event"].get("account") == "lin" for line in watching.stdout)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(WAIT_S) == 130


@pytest.mark.parametrize(("shell", "words"), [("bash", "complete"), ("zsh", "#compdef"), ("fish", "complete -c")])
def test_the_shell_completes_commands_and_choices(shell: str, words: str) -> None:
    script = run_here("completion", shell).out
    for expected in (words, "slots", "--grain", "week"):
        assert expected in script
    if shell == "bash":
        ask = "COMP_WORDS=(hourbook fr); COMP_CWORD=1; _hourbook; echo ${COMPREPLY[@]}"
        done = subprocess.run(
            ["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout == "free\n"


def test_a_profile_keeps_its_token_to_itself(home: Path, filled: Running) -> None:
    added = run_here("profile", "add", "other", "--url", filled.url, "--sign-in", stdin="hbk_secret\n")
    assert added.status == 0, added.err
    file = home / "hourbook" / "config.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "hbk_secret" in file.read_text()
    listed = run_here("profile", "list")
    assert "token" in listed.out
    assert "hbk_secret" not in added.out + listed.out + run_here("profile", "list", "-o", "json").out
    file.chmod(0o644)
    assert "chmod 600" in run_here("profile", "list").err


@pytest.mark.usefixtures("home")
def test_a_series_is_shown_with_its_occurrences() -> None:
    words = (
        "book",
        "euclid",
        "--cores",
        "1",
        "--from",
        "2086-07-15",
        "--for",
        "1 day",
        "--rrule",
        "FREQ=DAILY;COUNT=2",
    )
    series = json.loads(run_here(*words, "--yes", "-o", "json").out)["id"]
    shown = run_here("show", series).out
    assert "repeats     FREQ=DAILY;COUNT=2, in UTC" in shown
    assert "bookings    2 planned" in shown
    assert "planned  Tue 2086-07-16 00:00  Wed 2086-07-17 00:00" in shown


@pytest.mark.usefixtures("home")
def test_a_booking_is_amended_and_cancelled_after_its_dry_run_was_shown() -> None:
    made = run_here("book", "euclid", "--cores", "4", "--from", "2086-07-01", "--for", "2 days", "--yes", "-o", "json")
    booking = json.loads(made.out)["id"]
    amended = run_here("amend", booking, "--cores", "6", "--for", "3 days", "--yes")
    assert amended.out.startswith("Becomes: 6 cores of euclid, Mon 2086-07-01 00:00 to Thu 2086-07-04 00:00\n")
    refused = run_here("amend", booking, "--cores", "600", "--yes")
    assert (refused.status, refused.err) == (3, "hourbook: refused: not enough is free in euclid\n")
    assert run_here("amend", booking, "--yes").err.startswith("hourbook: --cores: say what changes")
    assert run_here("cancel", booking, "--all", "--yes").err.startswith(
        "hourbook: --all: this booking belongs to no series"
    )
    assert run_here("cancel", booking, "--yes", "--reason", "not needed").out.endswith("Done.\n")
    assert run_here("cancel", booking, "--yes").out == "It is so already: nothing changes.\n"
    shown = run_here("show", booking).out
    assert "state       cancelled" in shown
    assert "not needed" in shown
