"""Verified credentials in memory: who shares a call, what is kept, and for how long."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.identity.cache import WRONG_MAX, WRONG_S, SingleFlight, VerifiedCache
from shared.identity.errors import IdentityUnavailable, InvalidCredential
from shared.identity.principals import person
from shared.identity.verifying import Verified

NOW = 3_640_000_000.0  # in 2085


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Issuer:
    """Counts how often it is asked. It knows every credential that begins with `good`."""

    def __init__(self, groups: int = 0) -> None:
        self.asked: list[str] = []
        self.groups = tuple(f"g{number}" for number in range(groups))
        self.let = asyncio.Event()
        self.let.set()

    async def verify(self, credential: str) -> Verified:
        self.asked.append(credential)
        await self.let.wait()
        if credential.startswith("down"):
            raise IdentityUnavailable("the issuer does not answer")
        if not credential.startswith("good"):
            raise InvalidCredential("the token is wrong", hint="x")
        return Verified(person("egi", credential, self.groups, "oidc"), NOW + 60)


async def test_a_repeat_asks_nobody_until_the_entry_ends() -> None:
    clock, issuer = Clock(), Issuer()
    cache = VerifiedCache(clock=clock)
    assert cache.get("good") is None
    first = await cache.verified("good", issuer.verify)
    clock.now = NOW + 59.999
    assert await cache.verified("good", issuer.verify) is first is cache.get("good")
    assert issuer.asked == ["good"]
    clock.now = NOW + 60
    assert cache.get("good") is None
    await cache.verified("good", issuer.verify)
    assert issuer.asked == ["good", "good"]


async def test_a_wrong_credential_is_refused_for_some_seconds_without_another_look() -> None:
    clock, issuer = Clock(), Issuer()
    cache = VerifiedCache(clock=clock)
    for seconds in (0, 1, WRONG_S - 0.001):
        clock.now = NOW + seconds
        with pytest.raises(InvalidCredential) as refused:
            await cache.verified("bad", issuer.verify)
        assert (refused.value.detail, refused.value.facts) == ("the token is wrong", {"hint": "x"})
    assert issuer.asked == ["bad"]
    clock.now = NOW + WRONG_S
    with pytest.raises(InvalidCredential):
        await cache.verified("bad", issuer.verify)
    assert issuer.asked == ["bad", "bad"]


async def test_what_could_not_be_checked_is_asked_again_at_once() -> None:
    issuer, cache = Issuer(), VerifiedCache(clock=Clock())
    for _ in range(2):
        with pytest.raises(IdentityUnavailable):
            await cache.verified("down", issuer.verify)
    assert issuer.asked == ["down", "down"]


async def asking(count: int, ask: Callable[[], Awaitable[object]], issuer: Issuer) -> list[object]:
    """What `count` requests get that ask at the same time."""
    issuer.let.clear()
    tasks = [asyncio.ensure_future(ask()) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    issuer.let.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(("credential", "kind"), [("good", Verified), ("bad", InvalidCredential)])
async def test_requests_with_the_same_credential_share_one_call(credential: str, kind: type) -> None:
    issuer, cache = Issuer(), VerifiedCache(clock=Clock())
    answers = await asking(20, lambda: cache.verified(credential, issuer.verify), issuer)
    assert len(answers) == 20
    assert all(isinstance(answer, kind) for answer in answers)
    assert issuer.asked == [credential]


async def test_a_request_that_is_cancelled_cancels_the_call_of_nobody_else() -> None:
    issuer, cache = Issuer(), VerifiedCache(clock=Clock())
    issuer.let.clear()
    first, second = (asyncio.ensure_future(cache.verified("good", issuer.verify)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    issuer.let.set()
    assert (await second).principal.id == "egi:good"
    assert issuer.asked == ["good"]


async def test_clear_forgets_right_and_wrong() -> None:
    issuer, cache = Issuer(), VerifiedCache(clock=Clock())
    await cache.verified("good", issuer.verify)
    with pytest.raises(InvalidCredential):
        await cache.verified("bad", issuer.verify)
    cache.clear()
    assert len(cache) == 0
    assert cache.get("good") is cache.get("bad") is None


async def test_a_verification_from_before_clear_is_neither_kept_nor_shared() -> None:
    issuer, cache = Issuer(), VerifiedCache(clock=Clock())
    issuer.let.clear()
    before = asyncio.ensure_future(cache.verified("good", issuer.verify))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    cache.clear()
    after = asyncio.ensure_future(cache.verified("good", issuer.verify))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert issuer.asked == ["good", "good"]
    issuer.let.set()
    await before
    assert cache.get("good") is await after


async def test_wrong_credentials_drive_out_no_right_one_and_are_bounded() -> None:
    issuer, cache = Issuer(), VerifiedCache(clock=Clock())
    await cache.verified("good", issuer.verify)
    for number in range(WRONG_MAX + 1):
        with pytest.raises(InvalidCredential):
            await cache.verified(f"bad{number}", issuer.verify)
    assert cache.get("good") is not None
    assert cache.get("bad0") is None  # the oldest went
    with pytest.raises(InvalidCredential):
        cache.get("bad1")


async def test_the_oldest_go_when_people_have_many_groups() -> None:
    issuer = Issuer(groups=1000)
    cache = VerifiedCache(members_max=10_100, clock=Clock())
    for number in range(15):
        await cache.verified(f"good{number}", issuer.verify)
    assert len(cache) == 10
    assert cache.get("good4") is None
    assert cache.get("good5") is not None


async def test_any_text_of_a_header_is_a_credential() -> None:
    issuer, cache = Issuer(), VerifiedCache(clock=Clock())
    for text in ("", "ÿ\x00", "\ud800", "x" * 1_000_000):
        with pytest.raises(InvalidCredential):
            await cache.verified(text, issuer.verify)


async def test_single_flight_keeps_calls_of_different_keys_apart() -> None:
    flight: SingleFlight[str, str] = SingleFlight()

    async def name(key: str) -> str:
        await asyncio.sleep(0)
        return key

    assert await asyncio.gather(*(flight.run(key, lambda key=key: name(key)) for key in "abab")) == list("abab")
