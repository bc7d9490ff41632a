"""Attacks on access tokens: what an attacker sends who has no key of the issuer, or has a token for something else."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from joserfc.jwk import OctKey, RSAKey

from shared.identity.errors import InvalidCredential
from shared.identity.jws import HEADER_MAX, TOKEN_MAX
from shared.identity.oidc import OidcVerifier, OidcVerifiers
from tests.support.issuers import EC, OKP, OTHER_RSA, RSA, Clock, OwnIssuer, claims_of, own_issuer, segment, signed


@pytest.fixture
async def issuer() -> AsyncIterator[OwnIssuer]:
    async with own_issuer() as made:
        yield made


@pytest.fixture
async def verifier(issuer: OwnIssuer) -> AsyncIterator[OidcVerifier]:
    made = OidcVerifier("egi", issuer.settings(), Clock(), Clock())
    yield made
    await made.close()


async def refused(verifier: OidcVerifier, token: str, why: str) -> None:
    """Asserts that the token is refused for this reason, and that the error says nothing of the token."""
    with pytest.raises(InvalidCredential, match=why) as error:
        await verifier.verify(token)
    parts = [part for part in token.split(".") if len(part) > 12]
    assert not any(part in repr(error.value) for part in parts)


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (OKP, "EdDSA")])
async def test_a_right_token_of_each_allowed_algorithm(
    issuer: OwnIssuer, verifier: OidcVerifier, key: Any, alg: str
) -> None:
    assert (await verifier.verify(issuer.token(key, alg))).principal.id == "egi:ada"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "HS256", "RS512", "", None, 7, ["RS256"], "RS256 "])
async def test_an_algorithm_that_is_not_on_the_list(issuer: OwnIssuer, verifier: OidcVerifier, alg: Any) -> None:
    head = {"alg": alg, "kid": "rsa"} if alg is not None else {"kid": "rsa"}
    token = f"{segment(head)}.{segment(claims_of(issuer.url))}."
    await refused(verifier, token, "algorithm is not allowed; these are: RS256, ES256, PS256, EdDSA")
    await refused(verifier, token + "AAAA", "algorithm is not allowed")


@pytest.mark.parametrize("form", ["pem", "der", "jwk", "n"])
async def test_hs256_with_the_public_key_as_the_secret(issuer: OwnIssuer, verifier: OidcVerifier, form: str) -> None:
    public = RSAKey.import_key(RSA.as_dict(private=False))
    secret = {
        "pem": public.as_pem(),
        "der": public.as_der(),
        "jwk": json.dumps(public.as_dict(), separators=(",", ":")).encode(),
        "n": str(public["n"]).encode(),
    }[form]
    token = signed(claims_of(issuer.url), OctKey(secret, secret), "HS256", kid="rsa")
    await refused(verifier, token, "algorithm is not allowed")


async def test_an_empty_list_of_algorithms_allows_none(issuer: OwnIssuer) -> None:
    verifier = OidcVerifier("egi", issuer.settings(algorithms=()), Clock(), Clock())
    for alg in ("RS256", "HS256"):
        key = RSA if alg == "RS256" else OctKey.generate_key(256, {"kid": "rsa"})
        await refused(verifier, signed(claims_of(issuer.url), key, alg), "algorithm is not allowed")
    await verifier.close()


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c"])
async def test_a_key_in_the_header_is_not_believed(issuer: OwnIssuer, verifier: OidcVerifier, member: str) -> None:
    issuer.documents["/evil"] = None  # type: ignore[assignment]  # to answer it would fail
    value = {"jwk": OTHER_RSA.as_dict(private=False), "x5c": ["MIIB"]}.get(member, f"{issuer.url}/evil")
    token = issuer.token(OTHER_RSA, header={"kid": "rsa", member: value})
    await refused(verifier, token, "signature is not valid")
    assert "/evil" not in issuer.asked
    found = await verifier.verify(issuer.token(header={member: value}))  # it is not read: the issuer's key has signed
    assert found.principal.id == "egi:ada"


@pytest.mark.parametrize("header", [{"crit": ["b64"], "b64": True}, {"crit": []}, {"crit": ["exp"]}, {"b64": False}])
async def test_critical_extensions(issuer: OwnIssuer, verifier: OidcVerifier, header: dict[str, Any]) -> None:
    head = {"alg": "RS256", "kid": "rsa", **header}
    token = f"{segment(head)}.{segment(claims_of(issuer.url))}.AAAA"
    await refused(verifier, token, "critical extensions")


@pytest.mark.parametrize("kid", ["../../../../dev/null", "rsa' OR '1'='1", "http://127.0.0.1/key", "rsa ", "RSA", "*"])
async def test_a_kid_is_a_name_and_nothing_else(issuer: OwnIssuer, verifier: OidcVerifier, kid: str) -> None:
    await refused(verifier, issuer.token(OTHER_RSA, header={"kid": kid}), "egi has no key that fits")
    assert set(issuer.asked) == {"/keys", "/.well-known/openid-configuration"}


@pytest.mark.parametrize("kid", ["", "a\x00b", "a\nb", "k" * 256, 7, ["rsa"], {"rsa": 1}, True])
async def test_a_kid_that_is_no_short_text(issuer: OwnIssuer, verifier: OidcVerifier, kid: Any) -> None:
    token = f"{segment({'alg': 'RS256', 'kid': kid})}.{segment(claims_of(issuer.url))}.AAAA"
    await refused(verifier, token, r"\(kid\) is not a short text")
    assert issuer.asked == []


async def test_a_key_of_another_kind_than_the_algorithm(issuer: OwnIssuer, verifier: OidcVerifier) -> None:
    claims = claims_of(issuer.url)
    await refused(verifier, signed(claims, RSA, "RS256", kid="ec"), "no key that fits")
    await refused(verifier, signed(claims, EC, "ES256", kid="rsa"), "no key that fits")
    await refused(verifier, signed(claims, OKP, "EdDSA", kid="ec"), "no key that fits")


@pytest.mark.parametrize(
    "member", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"alg": "RS384"}, {"alg": "RSA-OAEP"}, {"use": "other"}]
)
async def test_a_key_that_is_for_something_else(
    issuer: OwnIssuer, verifier: OidcVerifier, member: dict[str, Any]
) -> None:
    issuer.keys = [{**RSA.as_dict(private=False), **member}, EC.as_dict(private=False)]
    await refused(verifier, issuer.token(), "no key that fits")
    await verifier.verify(issuer.token(EC, "ES256"))


@pytest.mark.parametrize("bad", ["oct", "private", "short", "broken", "X25519", "unknown", "not"])
async def test_keys_that_no_signature_can_be_checked_with_are_left_out(
    issuer: OwnIssuer, verifier: OidcVerifier, bad: str
) -> None:
    secret = OctKey.generate_key(256, {"kid": "bad"})
    issuer.keys = [
        {
            "oct": secret.as_dict(private=True),
            "private": {**OTHER_RSA.as_dict(private=True), "kid": "bad"},
            "short": {"kty": "RSA", "kid": "bad", "e": "AQAB", "n": segment(b"\xc5" * 128)},
            "broken": {"kty": "RSA", "kid": "bad", "e": "AQAB", "n": "***"},
            "X25519": {"kty": "OKP", "kid": "bad", "crv": "X25519", "x": segment(b"\x09" * 32)},
            "unknown": {"kty": "AKP", "kid": "bad", "alg": "ML-DSA-44", "pub": "AAAA"},
            "not": {"kid": ["bad"], "kty": {"a": 1}},
        }[bad],
        EC.as_dict(private=False),
    ]
    await verifier.verify(issuer.token(EC, "ES256"))
    await refused(verifier, issuer.token(OTHER_RSA, header={"kid": "bad"}), "no key that fits")


async def test_two_keys_with_one_kid(issuer: OwnIssuer, verifier: OidcVerifier) -> None:
    twin = {**OTHER_RSA.as_dict(private=False), "kid": "rsa"}
    issuer.keys = [RSA.as_dict(private=False), RSA.as_dict(private=False), {**EC.as_dict(private=False), "kid": "rsa"}]
    await verifier.verify(issuer.token())  # one of them fits: the same key twice is one, the other is for ES256
    await verifier.close()
    issuer.keys.append(twin)
    fresh = OidcVerifier("egi", issuer.settings(), Clock(), Clock())
    for key in (RSA, OTHER_RSA):
        await refused(fresh, issuer.token(key, header={"kid": "rsa"}), "several keys that fit")
    await fresh.close()


async def test_a_token_without_a_kid_is_of_the_only_key_that_fits(issuer: OwnIssuer, verifier: OidcVerifier) -> None:
    await verifier.verify(issuer.token(header={"kid": None}))
    issuer.keys.append(OTHER_RSA.as_dict(private=False))
    fresh = OidcVerifier("egi", issuer.settings(), Clock(), Clock())
    await refused(fresh, issuer.token(header={"kid": None}), "several keys that fit the token; it must name one")
    await fresh.close()


async def test_a_token_of_another_key_or_with_a_changed_letter(issuer: OwnIssuer, verifier: OidcVerifier) -> None:
    await refused(verifier, issuer.token(OTHER_RSA, header={"kid": "rsa"}), "signature is not valid")
    head, payload, signature = issuer.token().split(".")
    other = segment(claims_of(issuer.url, sub="root"))
    await refused(verifier, f"{head}.{other}.{signature}", "signature is not valid")
    await refused(verifier, f"{head}.{payload}.", "signature is not valid")
    await refused(verifier, f"{head}.{payload}.{signature[:-4]}", "signature is not valid")
    zeros = segment(b"\x00" * 64)  # for ES256: r = s = 0
    await refused(verifier, f"{segment({'alg': 'ES256', 'kid': 'ec'})}.{payload}.{zeros}", "signature is not valid")


async def test_base64_has_one_form(issuer: OwnIssuer, verifier: OidcVerifier) -> None:
    head, payload, signature = issuer.token(header={"pad": ""}).split(".")
    for changed in (f"{head}=", f"{head}\n", f" {head}", head + "%"):
        await refused(verifier, f"{changed}.{payload}.{signature}", "not a signed JSON Web Token")
    for changed in (f"{signature}==", f"{signature}A", signature[:-1] + chr(ord(signature[-1]) + 1)):
        await refused(verifier, f"{head}.{payload}.{changed}", "signature is not valid")
    await refused(verifier, f"{head}.{payload}=.{signature}", "signature is not valid")


async def test_members_that_are_there_twice(issuer: OwnIssuer, verifier: OidcVerifier) -> None:
    claims = json.dumps(claims_of(issuer.url))
    twice = f'{{"sub":"root",{claims[1:]}'.encode()
    await refused(verifier, signed(twice), "not a JSON object")
    nested = f'{{"a":{{"b":1,"b":2}},{claims[1:]}'.encode()
    await refused(verifier, signed(nested), "not a JSON object")
    head = '{"alg":"none","alg":"RS256","kid":"rsa"}'
    await refused(verifier, f"{segment(head)}.{segment(claims)}.AAAA", "not a signed JSON Web Token")


@pytest.mark.parametrize(
    "claims",
    [b"", b"[]", b"null", b'"x"', b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"exp":NaN}', '{"sub":"a"}'.encode("utf-16")],
)
async def test_claims_that_are_no_json_object(verifier: OidcVerifier, claims: bytes) -> None:
    await refused(verifier, signed(claims), "claims are not a JSON object")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        "ünsinn.ünsinn.ünsinn",
        "x" * (TOKEN_MAX + 1),
        segment(b"[" * 2000) + ".e30.AAAA",
        segment(b"[]") + ".e30.AAAA",
        segment({"alg": "RS256", "kid": "rsa", "pad": "x" * HEADER_MAX}) + ".e30.AAAA",
    ],
)
async def test_what_is_no_token(issuer: OwnIssuer, verifier: OidcVerifier, token: str) -> None:
    await refused(verifier, token, "not a signed JSON Web Token")
    assert issuer.asked == []
    verifiers = OidcVerifiers({"egi": issuer.settings()})
    with pytest.raises(InvalidCredential):
        await verifiers.verify(token)
    await verifiers.close()


async def test_a_token_in_a_token_and_an_encrypted_one(issuer: OwnIssuer, verifier: OidcVerifier) -> None:
    inner = issuer.token()
    await refused(verifier, signed(inner.encode(), cty="JWT"), "holds another token")
    await refused(verifier, signed(inner.encode()), "not a JSON object")
    head = segment({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "rsa"})
    await refused(verifier, f"{head}.AAAA.AAAA.AAAA.AAAA", "not a signed JSON Web Token")
    await refused(verifier, f"{segment({'alg': 'RS256', 'enc': 'A256GCM'})}.AAAA.AAAA", "is encrypted")


async def test_the_issuer_is_exactly_the_configured_one(issuer: OwnIssuer, verifier: OidcVerifier) -> None:
    for wrong in (
        f"{issuer.url}/",
        issuer.url.upper(),
        f"{issuer.url}.evil.example",
        issuer.url[:-1],
        "",
        7,
        [issuer.url],
    ):
        await refused(verifier, issuer.token(iss=wrong), "not of this issuer")
    await refused(verifier, issuer.token(iss=None), "lacks: iss")


async def test_one_subject_of_two_issuers_is_two_principals(issuer: OwnIssuer) -> None:
    issuer.keys = [RSA.as_dict(private=False)]
    async with own_issuer() as second:
        second.keys = [EC.as_dict(private=False)]
        verifiers = OidcVerifiers({"egi": issuer.settings(), "ours": second.settings()}, Clock())
        assert (await verifiers.verify(issuer.token())).principal.id == "egi:ada"
        assert (await verifiers.verify(second.token(EC, "ES256"))).principal.id == "ours:ada"
        with pytest.raises(InvalidCredential):  # the second says that it is the first
            await verifiers.verify(signed(claims_of(issuer.url), EC, "ES256"))
        await verifiers.close()
