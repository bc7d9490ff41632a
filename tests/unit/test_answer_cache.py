"""The cache of answers: bounded by bytes, the least recently used answer goes first."""

from services.query.answers.cache import ENTRY_BYTES, AnswerCache, CacheEntry, Version

ONE = ENTRY_BYTES + 1000


def entry(text_bytes: int = 1000, touched: int = 1) -> CacheEntry:
    return CacheEntry(Version(1, touched), b"x" * text_bytes)


def test_the_least_recently_used_answer_goes_first() -> None:
    cache = AnswerCache(10 * ONE)
    for number in range(10):
        cache.put(number, entry())
    assert cache.get(0) is not None  # so 1 is the least recently used
    cache.put("new", entry())
    assert cache.get(1) is None
    assert all(cache.get(key) is not None for key in (0, 2, 9, "new"))


def test_a_newer_version_takes_the_place_of_an_older_one() -> None:
    cache = AnswerCache(10 * ONE)
    for touched in range(100):
        cache.put("same", entry(touched=touched))
    for number in range(9):
        cache.put(number, entry())
    found = cache.get("same")
    assert found is not None
    assert found.version.touched == 99


def test_an_answer_larger_than_an_eighth_is_not_kept_and_its_older_version_goes() -> None:
    cache = AnswerCache(8 * ONE)
    cache.put("a", entry(1000))
    assert cache.get("a") is not None
    cache.put("a", entry(1001))
    assert cache.get("a") is None


def test_a_cache_of_no_bytes_keeps_nothing() -> None:
    cache = AnswerCache(0)
    cache.put("a", entry(0))
    assert cache.get("a") is None
