"""What the bench makes of what it measures: figures, intervals, the table in the README, and what wrk says."""

import random
import re
from pathlib import Path

import pytest

from services.cli.main import DEVELOPMENT
from tests.bench.__main__ import MEASURES, groups
from tests.bench.load import Requests, get, post
from tests.bench.processor import name_of
from tests.bench.table import Row, median_between, put_into_readme, spread


def test_a_figure_of_several_runs_says_its_median_the_least_and_the_greatest() -> None:
    assert spread([5100.4, 4901.0, 5300.0], ",.0f", "/s") == "5,100/s (4,901–5,300)"
    assert spread([0.5], ".2f", " ms") == "0.50 ms"


def test_the_interval_of_a_median_holds_the_true_median_in_95_of_100_tries_and_shrinks_with_more() -> None:
    chance, held, widths = random.Random(1), 0, {}
    for count in (25, 100):
        tries = [median_between([chance.gauss(0, 1) for _ in range(count)]) for _ in range(1000)]
        assert all(low <= middle <= high for middle, low, high in tries)
        held = sum(low <= 0 <= high for _, low, high in tries)
        widths[count] = sum(high - low for _, low, high in tries)
        assert 940 <= held < 990, held
    assert widths[100] < 0.6 * widths[25]
    assert median_between([2.0, 1.0]) == (1.5, 1.0, 2.0), "of few values, the interval is all of them"


def test_the_table_takes_the_place_between_the_marks_and_nothing_else(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    put_into_readme("| new |\n", readme)
    assert readme.read_text() == "before\n<!-- bench -->\n| new |\n<!-- /bench -->\nafter\n"
    readme.write_text("no mark")
    with pytest.raises(RuntimeError, match="has no <!-- bench -->"):
        put_into_readme("| new |", readme)


def test_every_row_has_as_many_cells_as_the_table_has_columns() -> None:
    assert Row(what="a", measured="b").line().count("|") == 8


def test_each_request_with_a_key_has_another_one_and_its_body() -> None:
    requests = Requests((post("/bookings/create", b'{"a":1}'), post("/bookings/create", b'{"a":2}')), keyed=True)
    following = requests.endless()
    sent = [following() for _ in range(4)]
    assert len({re.search(rb"Idempotency-Key: (\S+)\r\n", one)[1] for one in sent}) == 4  # type: ignore[index]
    assert [one[-2:-1] for one in sent] == [b"1", b"2", b"1", b"2"]
    assert Requests((get("/pools"),)).with_header("A: b").raw[0].startswith(b"GET /pools HTTP/1.1\r\nA: b\r\nHost: ")


def test_processor_time_counts_for_the_process_that_people_know() -> None:
    assert name_of(["/venv/bin/python", "-P", "-m", "services.command"]) == "command"
    assert name_of(["/venv/bin/python", "-m", "services.cli", "up", "--port", "1"]) == "gateway"
    assert name_of(["postgres: hourbook_command hourbook 127.0.0.1(5) idle"]) == "PostgreSQL"
    assert name_of(["/venv/bin/nats-server", "-c", "x"]) == "NATS"


def test_measures_that_share_a_history_run_together_and_in_their_order() -> None:
    assert groups(["verify", "ceiling", "address", "folded"]) == [["ceiling"], ["folded", "verify"], ["address"]]
    assert sorted(name for group in groups(list(MEASURES)) for name in group) == sorted(MEASURES)


def test_the_help_names_the_measures() -> None:
    (text,) = (text for name, text in DEVELOPMENT.items() if name == "bench:bench")
    assert set(MEASURES) <= set(re.findall(r"[a-z-]+", text))
