"""Who acts by a token of Keystone: what its answer says, in the shapes that a test's Keystone does not easily make."""

from typing import Any

import msgspec
import pytest

from shared.identity.errors import InvalidCredential
from shared.identity.keystone import KeystoneToken, principal_of

USER = "8c5e0f9b2d"
ROLES = [{"id": "r1", "name": "member"}, {"id": "r2", "name": "reader"}]


def members(**token: Any) -> set[str]:
    """What the principal of such a token is a member of, beside itself."""
    document = {"user": {"id": USER, "name": "ada"}, "expires_at": "2085-05-06T07:08:09.000000Z", **token}
    found = principal_of("ours", msgspec.convert(document, KeystoneToken))
    assert (found.id, found.auth, found.trusted) == (f"ours:{USER}", "keystone", False)
    return set(found.members) - {found.id}


def test_each_scope_has_a_name_of_its_own() -> None:
    assert members(roles=ROLES) == set()
    assert members(project={"id": "p1", "name": "x"}) == {"group:ours:p1"}
    assert members(project={"id": "p1"}, roles=ROLES) == {
        "group:ours:p1",
        "group:ours:p1:member",
        "group:ours:p1:reader",
    }
    assert members(domain={"id": "d1"}, roles=ROLES[:1]) == {"group:ours:domain:d1", "group:ours:domain:d1:member"}
    assert members(system={"all": True}, roles=ROLES[1:]) == {"group:ours:system", "group:ours:system:reader"}


def test_a_federated_user_has_the_groups_of_the_federation() -> None:
    user = {"id": USER, "name": "ada@example.org", "OS-FEDERATION": {"groups": [{"id": "g1"}, {"id": "g2"}]}}
    assert members(user=user) == {"group:ours:group:g1", "group:ours:group:g2"}


def test_roles_that_no_binding_can_name_are_left_out() -> None:
    assert members(project={"id": "p1"}, roles=[{"id": "r", "name": "größer"}]) == {"group:ours:p1"}


def test_a_restricted_application_credential_has_not_the_rights_of_its_user() -> None:
    document = {
        "user": {"id": USER},
        "expires_at": "2085-05-06T07:08:09Z",
        "project": {"id": "p1"},
        "application_credential": {"id": "a", "name": "nightly", "restricted": True, "access_rules": []},
    }
    assert principal_of("ours", msgspec.convert(document, KeystoneToken)).members == {"group:ours:p1"}


@pytest.mark.parametrize(
    "token",
    [
        {"OS-TRUST:trust": {"id": "t"}},
        {"OS-OAUTH1": {"access_token_id": "t"}},
        {"oauth2_credential": {"x5t#S256": "x"}},
        {"application_credential": {"restricted": True, "access_rules": [{"path": "/", "method": "GET"}]}},
        {"user": {"id": "ö"}},
        {"user": {"id": ""}},
        {"user": {"id": "x" * 300}},
    ],
)
def test_tokens_that_are_not_accepted(token: dict[str, Any]) -> None:
    with pytest.raises(InvalidCredential):
        members(**token)
