"""What the claims of an access token must say, to the second, and the person whom they name."""

import time
from typing import Any

import pytest

from shared.identity.auth_file import OidcIssuer, checked_member
from shared.identity.claims import UNTIL_S, groups_of, verified
from shared.identity.errors import InvalidCredential
from shared.identity.verifying import Verified
from tests.support.issuers import AUDIENCE, NOW, claims_of

URL = "https://issuer.example.org"
LEEWAY_S = 30


def checked(typ: str | None = "JWT", now: float = NOW, settings: dict[str, Any] = {}, **changed: Any) -> Verified:  # noqa: B006
    issuer = OidcIssuer(**{"issuer": URL, "audience": AUDIENCE, "leeway_s": LEEWAY_S, **settings})
    return verified("egi", issuer, typ, claims_of(URL, **changed), now)


def refused(why: str, **how: Any) -> None:
    with pytest.raises(InvalidCredential, match=why):
        checked(**how)


def test_a_token_ends_when_it_has_expired_and_the_leeway_is_over() -> None:
    checked(exp=NOW - LEEWAY_S + 1)
    refused("has expired", exp=NOW - LEEWAY_S)
    checked(exp=NOW + 1, settings={"leeway_s": 0})
    refused("has expired", exp=NOW, settings={"leeway_s": 0})


def test_a_token_begins_with_nbf_less_the_leeway() -> None:
    checked(nbf=NOW + LEEWAY_S)
    refused("not valid yet", nbf=NOW + LEEWAY_S + 1)
    checked(nbf=NOW, settings={"leeway_s": 0})
    refused("not valid yet", nbf=NOW + 1, settings={"leeway_s": 0})


def test_a_token_was_not_issued_in_the_future() -> None:
    checked(iat=NOW + LEEWAY_S)
    refused("time of issue", iat=NOW + LEEWAY_S + 1)


def test_the_clock_counts_whole_seconds() -> None:
    checked(now=NOW + 0.999, exp=NOW - LEEWAY_S + 1)
    refused("has expired", now=NOW + 1.0, exp=NOW - LEEWAY_S + 1)


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["3640000000", True, [], {}, float("nan"), float("inf")])
def test_a_time_is_a_number(claim: str, value: Any) -> None:
    refused(rf"\({claim}\)", **{claim: value})


def test_a_time_may_be_larger_than_any_clock() -> None:
    assert checked(exp=10**400).until == NOW + UNTIL_S
    assert checked(exp=1e300).until == NOW + UNTIL_S


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "sub"])
def test_a_claim_that_must_be_there(claim: str) -> None:
    refused(f"lacks: {claim}", **{claim: None})


def test_what_lacks_nbf_and_iat_is_valid() -> None:
    checked(nbf=None, iat=None)


def test_a_token_is_checked_again_when_it_ends_or_after_some_minutes() -> None:
    assert checked(exp=NOW + 10).until == NOW + 10 + LEEWAY_S
    assert checked(exp=NOW + 3600).until == NOW + UNTIL_S


@pytest.mark.parametrize("aud", [AUDIENCE, [AUDIENCE], ["account", AUDIENCE]])
def test_the_audience_is_a_text_or_a_list_that_has_it(aud: Any) -> None:
    checked(aud=aud)


@pytest.mark.parametrize(
    "aud",
    ["account", "", [], ["account"], "hourbook2", "hour", "Hourbook", [[AUDIENCE]], {"a": AUDIENCE}, [AUDIENCE, 7]],
)
def test_another_audience(aud: Any) -> None:
    refused("audience", aud=aud)


@pytest.mark.parametrize("sub", ["ada", "a b", "x" * 251, "6f1c-2@egi.eu", "a:b", "urn:x:y", "!"])
def test_a_subject_that_bindings_can_name(sub: str) -> None:
    found = checked(sub=sub)
    assert found.principal.id == f"egi:{sub}" == checked_member(f"egi:{sub}", "member")


@pytest.mark.parametrize(
    "sub", ["", " ", " ada", "ada ", "a\nb", "a\x00b", "ádá", "x" * 252, "\ud800", "a\u202eb", 7, [], {}, True]
)
def test_a_subject_that_no_binding_can_name(sub: Any) -> None:
    refused(r"subject \(sub\)", sub=sub)


ID_TOKEN = {"scope": None, "nonce": "n", "at_hash": "h"}


@pytest.mark.parametrize("name", ["at_hash", "c_hash", "s_hash"])
def test_a_hash_marks_an_id_token(name: str) -> None:
    refused("may be an ID token", **{name: "x"})
    refused("may be an ID token", scope=None, nonce=None, **{name: "x"})


def test_an_id_token_whose_audience_is_ours() -> None:
    refused("may be an ID token", **ID_TOKEN)
    refused("may be an ID token", scope=None, nonce="n")
    refused("may be an ID token", scope=None, settings={"client_id": AUDIENCE})  # neither nonce nor hash


def test_an_access_token_by_rfc_9068() -> None:
    for typ in ("at+jwt", "AT+JWT", "application/at+jwt"):
        checked(typ=typ, scope=None, nonce="n", settings={"client_id": AUDIENCE})


def keycloak(kind: str, **more: Any) -> dict[str, Any]:
    """Keycloak's tokens say in a claim of the same name as the header's what they are. Before version 25 its access
    tokens had the nonce, too."""
    return {"typ": kind, "azp": "web", "sid": "s", "nonce": "n", **more}


def claims_checked(claims: dict[str, Any], **settings: Any) -> Verified:
    issuer = OidcIssuer(**{"issuer": URL, "audience": AUDIENCE, **settings})
    return verified("egi", issuer, "JWT", {**claims_of(URL), **claims}, NOW)


def test_tokens_of_keycloak() -> None:
    claims_checked(keycloak("Bearer"), client_id=AUDIENCE)
    claims_checked(keycloak("DPoP"))
    for kind in ("ID", "Refresh", "Offline", "Logout", 7):
        with pytest.raises(InvalidCredential, match="may be an ID token"):
            claims_checked(keycloak(kind))  # type: ignore[arg-type]


def test_tokens_of_authentik() -> None:
    """Its access tokens are its ID tokens with two more claims, and have the client as their audience."""
    both = {"scope": None, "nonce": "n", "auth_time": NOW, "acr": "goauthentik.io/providers/oauth2/default"}
    checked(settings={"client_id": AUDIENCE}, **both, azp=AUDIENCE, uid="u")
    refused("may be an ID token", settings={"client_id": AUDIENCE}, **both)


def test_tokens_of_dex_are_accepted_where_the_file_says_so() -> None:
    """Its access tokens cannot be told from its ID tokens."""
    refused("may be an ID token", **ID_TOKEN)
    checked(settings={"id_tokens": True}, **ID_TOKEN)


@pytest.mark.parametrize("typ", ["logout+jwt", "dpop+jwt", "secevent+jwt", "ID", "JWT ", "token-introspection+jwt"])
def test_tokens_of_another_kind(typ: str) -> None:
    refused("another kind", typ=typ)
    refused("another kind", typ=typ, settings={"id_tokens": True})


def test_a_logout_token_is_no_access_token() -> None:
    event = {"http://schemas.openid.net/event/backchannel-logout": {}}
    refused("another kind", events=event, settings={"id_tokens": True})


def test_groups_are_a_list_or_one_text_or_absent() -> None:
    entitlement = "urn:mace:egi.eu:group:vo.example.org:role=member#aai.egi.eu"
    assert groups_of({"groups": ["a", "b", entitlement]}, "groups") == ("a", "b", entitlement)
    assert groups_of({"groups": "a b,c"}, "groups") == ("a b,c",)
    for claims in ({}, {"groups": None}, {"groups": []}, {"groups": ""}):
        assert groups_of(claims, "groups") == ()
    found = checked(eduperson_entitlement=[entitlement], settings={"groups_claim": "eduperson_entitlement"})
    assert f"group:egi:{entitlement}" in found.principal.members


def test_the_way_to_groups_goes_through_dots_unless_a_claim_has_that_name() -> None:
    claims = {"realm_access": {"roles": ["a"]}, "https://example.org/groups": ["b"], "resource_access": "x"}
    assert groups_of(claims, "realm_access.roles") == ("a",)
    assert groups_of(claims, "https://example.org/groups") == ("b",)
    assert groups_of(claims, "resource_access.hourbook.roles") == groups_of(claims, "nowhere.at.all") == ()


@pytest.mark.parametrize("groups", [7, True, {"a": 1}, [1], ["a", None], [["a"]], [{"name": "a"}]])
def test_groups_of_another_type_are_refused(groups: Any) -> None:
    refused(r"groups \(groups\) must be a list of texts", groups=groups)


def test_groups_that_no_binding_can_name_are_left_out() -> None:
    assert groups_of({"groups": ["a", "", "ö", "a\x00", "x" * 256, "\ud800"]}, "groups") == ("a",)


def test_a_group_cannot_be_taken_for_a_person() -> None:
    found = checked(groups=["egi:root", "group:egi:admins", "token:1", "hourbook"])
    assert {member for member in found.principal.members if not member.startswith("group:egi:")} == {"egi:ada"}


def test_ten_thousand_groups_cost_little() -> None:
    groups = [f"urn:mace:example.org:group:{number}" for number in range(10_000)]
    begun = time.perf_counter()
    found = checked(groups=groups)
    assert time.perf_counter() - begun < 0.25
    assert len(found.principal.members) == 10_001


def test_name_and_email_are_for_people_to_read() -> None:
    found = checked(name=" Ada\u202e Love\x00lace \n", email="ada@example.org", email_verified=True)
    assert (found.name, found.email) == ("Ada Lovelace", "ada@example.org")
    assert checked(name=7, email=["a"]).name is checked(email=["a"]).email is None
    assert checked(email="ada@example.org", email_verified=False).email is None
    assert len(checked(name="x" * 5000).name or "") == 200
    longest = f"{'a' * 64}@{'b' * 61}.{'c' * 63}.{'d' * 63}"
    assert len(longest) == 254
    assert checked(email=longest).email == longest
    assert checked(nick="Ada", settings={"name_claim": "nick"}).name == "Ada"
