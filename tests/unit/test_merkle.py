"""The Merkle tree against the test vectors of Certificate Transparency, and against the text of RFC 6962."""

import time
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.merkle import (
    EMPTY_ROOT,
    Node,
    Tree,
    consistency_path,
    edge,
    hash_leaves,
    inclusion_path,
    leaf_hash,
    proof,
    tree_at,
    verify_consistency,
    verify_inclusion,
)

# The leaves and hashes of the reference implementation's tests, which are the same in C++, Go, Java and Python.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


class Kept:
    """A tree that keeps every complete node."""

    def __init__(self, leaves: list[bytes], steps: list[int] | None = None) -> None:
        self.tree, self.nodes = Tree(), dict[Node, bytes]()
        hashes = hash_leaves(leaves)
        places = [0, *(steps or []), len(leaves)]
        counts: dict[int, int] = {}
        for start, end in pairwise(places):
            for height, made in enumerate(self.tree.extend(hashes[start * 32 : end * 32])):
                for place in range(0, len(made), 32):
                    number = counts.get(height, 0)
                    counts[height] = number + 1
                    self.nodes[height, number] = made[place : place + 32]

    def inclusion(self, index: int, size: int) -> list[bytes]:
        return proof(inclusion_path(index, size), self.nodes.__getitem__)

    def consistency(self, first: int, second: int) -> list[bytes]:
        return proof(consistency_path(first, second), self.nodes.__getitem__)


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\x01" + root_of(leaves[:k]) + root_of(leaves[k:])).digest()


def path_of(m: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m < k:
        return [*path_of(m, leaves[:k]), root_of(leaves[k:])]
    return [*path_of(m - k, leaves[k:]), root_of(leaves[:k])]


def subproof_of(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """RFC 6962, section 2.1.2, word for word."""
    if m == len(leaves):
        return [] if whole else [root_of(leaves)]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m <= k:
        return [*subproof_of(m, leaves[:k], whole), root_of(leaves[k:])]
    return [*subproof_of(m - k, leaves[k:], False), root_of(leaves[:k])]


@pytest.mark.parametrize("size", range(9))
def test_the_root_is_the_reference_implementations(size: int) -> None:
    assert Kept(LEAVES[:size]).tree.root().hex() == ROOTS[size]
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_an_inclusion_proof_is_the_reference_implementations(index: int, size: int, path: list[str]) -> None:
    assert [digest.hex() for digest in Kept(LEAVES).inclusion(index, size)] == path
    hashes, root = [bytes.fromhex(digest) for digest in path], bytes.fromhex(ROOTS[size])
    assert verify_inclusion(leaf_hash(LEAVES[index]), index, size, hashes, root)


@pytest.mark.parametrize(("first", "second", "path"), CONSISTENCY)
def test_a_consistency_proof_is_the_reference_implementations(first: int, second: int, path: list[str]) -> None:
    assert [digest.hex() for digest in Kept(LEAVES).consistency(first, second)] == path
    hashes = [bytes.fromhex(digest) for digest in path]
    assert verify_consistency(first, second, hashes, bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second]))


def test_a_leaf_is_not_mistaken_for_a_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != Kept([b"a", b"b"]).tree.root()


def test_what_is_not_in_the_tree_has_no_proof() -> None:
    for index, size in ((1, 1), (-1, 3), (0, 0)):
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_path(index, size)
        assert not verify_inclusion(leaf_hash(b""), index, size, [], EMPTY_ROOT)
    with pytest.raises(ValueError, match="no prefix"):
        consistency_path(3, 2)
    assert not verify_consistency(3, 2, [], EMPTY_ROOT, EMPTY_ROOT)
    assert not verify_consistency(3, 5, [], EMPTY_ROOT, EMPTY_ROOT)


trees = st.integers(0, 300).flatmap(
    lambda size: st.tuples(
        st.just([b"%d" % number for number in range(size)]),
        st.lists(st.integers(0, size), max_size=5).map(sorted),
        st.integers(0, size),
        st.integers(0, max(0, size - 1)),
    )
)


@given(trees)
def test_any_tree_is_as_the_rfc_defines_it(case: tuple[list[bytes], list[int], int, int]) -> None:
    """The root and the proofs do not depend on how the tree grew. The proofs verify, and a tree can grow on from any
    size."""
    leaves, steps, smaller, index = case
    size = len(leaves)
    kept, root = Kept(leaves, steps), root_of(leaves)
    assert (kept.tree.size, kept.tree.root()) == (size, root)
    consistency = kept.consistency(smaller, size)
    assert consistency == (subproof_of(smaller, leaves, True) if smaller > 0 else [])
    assert verify_consistency(smaller, size, consistency, root_of(leaves[:smaller]), root)
    begun = tree_at(smaller, kept.nodes.__getitem__)
    assert begun.root() == root_of(leaves[:smaller])
    copied = begun.copy()
    begun.extend(hash_leaves(leaves[smaller:]))
    assert (begun.root(), copied.root()) == (root, root_of(leaves[:smaller]))
    if size:
        inclusion = kept.inclusion(index, size)
        assert inclusion == path_of(index, leaves)
        assert verify_inclusion(leaf_hash(leaves[index]), index, size, inclusion, root)


@given(trees, st.data())
def test_a_proof_that_was_changed_in_any_way_is_refused(
    case: tuple[list[bytes], list[int], int, int], data: st.DataObject
) -> None:
    leaves, _, smaller, index = case
    size = len(leaves)
    if size < 2:
        return
    kept = Kept(leaves)
    root, leaf, inclusion = kept.tree.root(), leaf_hash(leaves[index]), kept.inclusion(index, size)
    other = data.draw(st.integers(0, size - 1).filter(lambda number: number != index))
    place, bit = data.draw(st.integers(0, len(inclusion) - 1)), data.draw(st.integers(0, 255))
    bent = list(inclusion)
    bent[place] = (int.from_bytes(bent[place], "big") ^ 1 << bit).to_bytes(32, "big")
    assert not verify_inclusion(leaf, index, size, bent, root)
    assert not verify_inclusion(leaf, other, size, inclusion, root)
    assert not verify_inclusion(leaf_hash(leaves[other]), index, size, inclusion, root)
    assert not verify_inclusion(leaf, index, size, inclusion[:-1], root)
    assert not verify_inclusion(leaf, index, size, [*inclusion, root], root)
    if 0 < smaller < size:
        rewritten = [*leaves[: smaller - 1], b"rewritten"]
        consistency = kept.consistency(smaller, size)
        assert not verify_consistency(smaller, size, consistency, root_of(rewritten), root)
        assert not verify_consistency(smaller, size, consistency[:-1], root_of(leaves[:smaller]), root)


@given(st.integers(0, 10**12), st.integers(0, 10**6))
def test_the_edge_covers_every_leaf_once(start: int, length: int) -> None:
    place = start
    for height, number in edge(start, start + length):
        assert number << height == place
        place += 1 << height
    assert place == start + length


def test_the_proofs_of_an_enormous_tree_are_short() -> None:
    size = 10**15 + 12345
    assert len(inclusion_path(size // 3, size)) <= 50
    assert len(consistency_path(size // 3, size)) <= 52


def test_hashing_is_fast_enough_not_to_be_noticed() -> None:
    """The goal is 500,000 leaves a second. The limit is far lower, for machines that are busy."""
    leaves, tree = [b"x" * 300] * 100_000, Tree()
    began = time.process_time()
    tree.extend(hash_leaves(leaves))
    assert time.process_time() - began < 1.0
    assert tree.size == 100_000
