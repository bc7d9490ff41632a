"""What the command line for people makes of options, of profiles, and of names that would steer the terminal."""

from pathlib import Path
from typing import Any

import pytest

from services.cli.failure import Failure, NotAllowed, RefusedByLedger, WrongUse
from services.cli.people.amounts import fields_of, in_words, mib_of
from services.cli.people.book import between
from services.cli.people.events import sentence
from services.cli.people.ledger import failure_of_problem
from services.cli.people.options import Amount
from services.cli.people.screen import csv_cell
from services.cli.profiles import Config, Profile, read_config, target_of, write_config
from services.cli.terminal import printable


def test_memory_has_units() -> None:
    assert [mib_of(text) for text in ("512", "64G", "1 TiB", "5m")] == [512, 65536, 1048576, 5]
    with pytest.raises(WrongUse, match="--memory: '64K'"):
        mib_of("64K")
    assert in_words({"cores": 2, "memory": 8192, "datadisc": 5}) == "2 cores, 8 GiB memory, 5 GiB datadisc"
    assert in_words({"memory": 1000}, share=1250) == "1000 MiB memory, 12.5% of the cluster"


@pytest.mark.parametrize(
    ("amount", "fields"),
    [
        (Amount(cores=2, memory="1G"), {"cores": 2, "memory": 1024}),
        (Amount(template="small@2", count=3), {"template": "small", "template_version": 2, "count": 3}),
        (Amount(share="100%", cores=8), {"share": "100%", "cores": 8}),
    ],
)
def test_the_options_become_the_fields_of_a_request(amount: Amount, fields: dict[str, Any]) -> None:
    assert fields_of(amount) == fields


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (Amount(cores=2, template="small"), "counts and --template: give one"),
        (Amount(share="20%", cores=2), "counts and --share: give one"),
        (Amount(count=2, cores=2), "--count: it says how many times"),
        (Amount(cores=-1), "--cores: -1 is less than 0"),
        (Amount(template="small@new"), "--template: 'small@new'"),
    ],
)
def test_a_mixture_of_amounts_is_refused(amount: Amount, said: str) -> None:
    with pytest.raises(WrongUse, match=said):
        fields_of(amount)


def test_text_of_the_ledger_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x9bc\u202ed\te\r") == "a\\x1b[2Jb\\x9bc\\u202ed\\x09e\\x0d"
    assert printable("Ada Lovelace – naïve 👩‍💻\n") == "Ada Lovelace – naïve 👩‍💻\n"
    texts = ("=1+1", "\N{FULLWIDTH EQUALS SIGN}1", "ada", None)
    assert [csv_cell(text) for text in texts] == ["'=1+1", "'\N{FULLWIDTH EQUALS SIGN}1", "ada", ""]


def test_an_event_is_told_in_words() -> None:
    hours = {"start": "2085-03-01T09:00:00Z", "end": "2085-03-01T18:00:00Z"}
    booked = {
        "type": "BookingCreated",
        "project": "gaia",
        "booking": "x",
        "pool": "gaia.hub",
        "account": "ada",
        **hours,
    }
    assert sentence({**booked, "share": 2000, "tentative": True}, "UTC") == (
        "booking created: 20% of gaia.hub for ada, Thu 2085-03-01 09:00 to Thu 2085-03-01 18:00, tentative"
    )
    role = {"type": "RoleGranted", "project": "gaia", "pool": "gaia", "role": "reader", "member": "egi:ada"}
    assert sentence(role, "UTC") == "role granted: reader for egi:ada on gaia"


@pytest.mark.parametrize(
    ("status", "kind"), [(400, WrongUse), (401, NotAllowed), (403, NotAllowed), (409, RefusedByLedger), (503, Failure)]
)
def test_a_problem_names_the_option_and_has_the_exit_status_of_its_kind(status: int, kind: type[Failure]) -> None:
    error = {"field": "enddate", "detail": "wrong"}
    failure = failure_of_problem(status, {"code": "x", "detail": "enddate: wrong", "errors": [error]})
    assert (type(failure), str(failure)) == (kind, "--until: wrong")


def test_a_token_of_a_profile_goes_to_no_other_address(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    home = Profile(url="https://home.example", token="hbk_home", account="ada")
    write_config(tmp_path / "hourbook" / "config.toml", Config("home", {"home": home}))
    assert target_of(None, None, environment).headers == {"Authorization": "Bearer hbk_home"}
    assert target_of("https://other.example", None, environment).headers == {}
    elsewhere = target_of(None, None, {**environment, "HOURBOOK_URL": "https://other.example"})
    assert (elsewhere.url, elsewhere.headers) == ("https://other.example", {})
    given = target_of(None, None, {**environment, "HOURBOOK_TOKEN": "hbk_given"})
    assert (given.url, given.headers) == ("https://home.example", {"Authorization": "Bearer hbk_given"})
    named = {**environment, "HOURBOOK_URL": "https://other.example"}
    assert target_of(None, "home", named).url == "https://home.example"


def test_a_file_of_profiles_that_is_wrong_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    assert read_config(file) == Config()
    file.write_text("current = 3")
    file.chmod(0o600)
    with pytest.raises(Failure, match=r"config\.toml is not what"):
        read_config(file)


def test_what_is_free_is_told_from_the_least_to_the_most() -> None:
    assert between(0, 65536, "memory") == "0 to 64 GiB memory"
    assert between(512, 65536, "memory") == "512 MiB memory to 64 GiB memory"
    assert between(24, 24, "cores") == "24 cores"
