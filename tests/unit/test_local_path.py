"""Where the page goes on after sign-in is always a path of its own address."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidField
from shared.identity.attempts import TARGET_MAX, attempt_in, local_path, new_attempt
from shared.identity.errors import SignInFailed

PAGE = "https://hourbook.example.org"
PIECES = ["/", "\\", ".", "..", "%2f", "%5C", "%252f", "%0a", "\t", "\n", "\0", "@", ":", "?", "#", "evil.example"]
PIECES += ["https:", "javascript:", "data:", "é", "\u2215", "\uff0f", "a", "b=1", "&", " ", ";", "%", "%00", "~"]


def accepted(target: str) -> bool:
    try:
        return local_path(target, "to") == target
    except InvalidField:
        return False


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=20))
def test_what_is_accepted_stays_at_this_address_however_it_is_read(target: str) -> None:
    if not accepted(target):
        return
    for read in (target, target.replace("\\", "/"), target.replace("%2f", "/").replace("%5C", "/"), target.strip()):
        parts = urlsplit(urljoin(f"{PAGE}/sign-in/own/callback", read))
        assert (parts.scheme, parts.netloc) == ("https", "hourbook.example.org")
    assert target.isascii()
    assert target.isprintable()


@pytest.mark.parametrize(
    "target", ["/", "/?view=month&project=gaia", "/projects/gaia.ics", "/a/b/#top", "/?next=//x", "/a%20b"]
)
def test_paths_of_the_page_are_accepted(target: str) -> None:
    assert accepted(target)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "x",
        "//evil",
        "///evil",
        "/\\evil",
        "\\\\evil",
        "/%5cevil",
        "/%2fevil",
        "/%252fevil",
        "/./evil",
        "/../evil",
        "/a/..//evil",
        "https:evil",
        "https://evil",
        "HTTPS:/evil",
        "javascript:alert(1)",
        " //evil",
        "\t//evil",
        "/\t/evil",
        "/\n/evil",
        "/a\r\nSet-Cookie: x",
        "/%0d%0aSet-Cookie:x",
        "@evil",
        "/é",
        "/a" * TARGET_MAX,
    ],
)
def test_everything_else_is_refused(target: str) -> None:
    assert not accepted(target)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_cookie_but_that_of_an_attempt_is_one(cookie: bytes) -> None:
    with pytest.raises(SignInFailed):
        attempt_in(cookie.decode("latin-1"), "own", "state")


def test_an_attempt_comes_back_from_its_cookie_for_its_issuer_and_state_alone() -> None:
    attempt = new_attempt("own", "/x")
    assert attempt_in(attempt.cookie(), "own", attempt.state) == attempt
    for issuer, state in (("other", attempt.state), ("own", attempt.nonce), ("own", None), ("own", "")):
        with pytest.raises(SignInFailed):
            attempt_in(attempt.cookie(), issuer, state)
