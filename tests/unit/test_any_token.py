"""Whatever a token is, it is a right one or an invalid credential: never another error."""

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.identity.auth_file import OidcIssuer
from shared.identity.claims import verified
from shared.identity.errors import InvalidCredential
from shared.identity.jws import StrictRegistry, read_claims, read_header, unchecked_issuer
from tests.support.issuers import AUDIENCE, NOW, RSA, claims_of, segment, signed

URL = "https://issuer.example.org"
ISSUER = OidcIssuer(issuer=URL, audience=AUDIENCE)
REGISTRY = StrictRegistry(ISSUER.algorithms)
RIGHT = signed(claims_of(URL))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
names = ("iss", "aud", "sub", "exp", "nbf", "iat", "jti", "scope", "typ", "groups", "name", "email", "azp", "events")
members = ("alg", "kid", "typ", "cty", "crit", "jwk", "jku", "x5u", "x5c", "x5t", "b64", "enc", "zip", "other")


def subject_of(token: str) -> str | None:
    """The principal's id; None if the token is not valid."""
    try:
        unchecked_issuer(token)
        header = read_header(token, ISSUER.algorithms)
        return verified("egi", ISSUER, header.typ, read_claims(token, RSA, REGISTRY), NOW).principal.id
    except InvalidCredential:
        return None


@given(st.integers(0, len(RIGHT) - 1), st.text(max_size=3), st.integers(0, 3))
def test_a_token_that_is_changed_anywhere_is_invalid(at: int, inserted: str, dropped: int) -> None:
    changed = RIGHT[:at] + inserted + RIGHT[at + dropped :]
    assert (subject_of(changed) == "egi:ada") == (changed == RIGHT)


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,40}){0,5}", fullmatch=True))
def test_any_text_is_invalid(text: str) -> None:
    assert subject_of(text) is None


@given(st.dictionaries(st.sampled_from(members), json_values, max_size=6))
def test_any_header_is_invalid_without_the_signature(head: dict[str, Any]) -> None:
    _, payload, signature = RIGHT.split(".")
    with contextlib.suppress(UnicodeEncodeError):
        assert subject_of(f"{segment({'alg': 'RS256', **head})}.{payload}.{signature}") is None


@given(st.dictionaries(st.sampled_from(names), json_values, max_size=6))
def test_any_claims_are_right_or_invalid(changed: dict[str, Any]) -> None:
    found = subject_of(signed({**claims_of(URL), **changed}))
    assert found in (None, f"egi:{changed.get('sub', 'ada')}")


@given(json_values)
def test_any_payload_is_invalid(payload: Any) -> None:
    assert subject_of(signed(payload)) is None
