"""What `hourbook status` says of the hosts of the database."""

from __future__ import annotations

from services.cli.database_hosts import MB, HostState, described


def test_each_host_is_a_row_and_an_older_primary_is_trouble() -> None:
    rows = described(
        [
            HostState("a:1", timeline=2, written=70 * MB),
            HostState("b:1", timeline=1, written=80 * MB),
            HostState("c:1", written=69 * MB),
            HostState("d:1", written=5 * MB),
            HostState("e:1", silent="did not answer within 2 s"),
        ]
    )
    assert [(name, note) for name, note, _ in rows] == [
        ("a:1", "takes writes, timeline 2"),
        ("b:1", "takes writes, timeline 1"),
        ("c:1", "standby, 1.0 MB behind"),
        ("d:1", "standby, 65.0 MB behind"),
        ("e:1", ""),
    ]
    troubles = [trouble or "" for _, _, trouble in rows]
    assert [bool(trouble) for trouble in troubles] == [False, True, False, True, True]
    assert "older timeline 1: stop it" in troubles[1]
    assert "does it follow a:1?" in troubles[3]
    assert troubles[4] == "e:1 did not answer within 2 s"


def test_without_a_primary_a_standby_is_no_trouble_of_its_own() -> None:
    assert described([HostState("a:1"), HostState("b:1", silent="cannot be reached")])[0] == ("a:1", "standby", None)
