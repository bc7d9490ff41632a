"""A Merkle tree (RFC 6962) over a list that only grows. SHA-256; a leaf has the prefix 0x00, an inner node 0x01.

A node is named by its height and its number at that height: `(0, 5)` is the sixth leaf, `(3, 1)` covers the leaves 8 to
15. A complete node never changes. No I/O: the caller passes a function that returns the hash of a complete node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

DIGEST = 32
EMPTY_ROOT = sha256().digest()

Node = tuple[int, int]


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def hash_leaves(leaves: Iterable[bytes]) -> bytes:
    """The leaf hashes, joined, as `Tree.extend` takes them."""
    return b"".join([sha256(b"\x00" + data).digest() for data in leaves])


class Tree:
    """A tree that keeps only its right edge: at most one hash for each bit of its size. Appending is amortised O(1)."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []  # by height: the complete node without a right sibling, or b""

    def extend(self, leaves: bytes) -> list[bytes]:
        """Appends leaves; `leaves` are their hashes, joined. Returns the nodes that became complete: by height, from
        the leaves on, the hashes of that height, joined."""
        made: list[bytes] = []
        hashes = leaves
        self.size += len(leaves) // DIGEST
        while hashes:
            made.append(hashes)
            height = len(made) - 1
            if height == len(self._edge):
                self._edge.append(b"")
            waiting = self._edge[height] + hashes
            paired = len(waiting) // (2 * DIGEST) * 2 * DIGEST
            self._edge[height] = waiting[paired:]
            hashes = b"".join([sha256(b"\x01" + waiting[i : i + 64]).digest() for i in range(0, paired, 64)])
        return made

    def root(self) -> bytes:
        """The root hash of the present tree."""
        return fold_right([node for node in reversed(self._edge) if node])

    def copy(self) -> Tree:
        """A copy that grows independently."""
        copied = Tree()
        copied.size, copied._edge = self.size, list(self._edge)
        return copied


def tree_at(size: int, node: Callable[[Node], bytes]) -> Tree:
    """The tree of the first `size` leaves, from the complete nodes that `edge` names."""
    tree = Tree()
    tree.size, tree._edge = size, [b""] * size.bit_length()
    for height, number in edge(0, size):
        tree._edge[height] = node((height, number))
    return tree


def edge(start: int, end: int) -> list[Node]:
    """The fewest complete nodes that cover the leaves `[start, end)`, from the left. `fold_right` gives their common
    hash if a node of that size may begin at `start`, as in every proof."""
    nodes: list[Node] = []
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        nodes.append((height, start >> height))
        start += 1 << height
    return nodes


def fold_right(hashes: Sequence[bytes]) -> bytes:
    """The root over nodes, which are ordered from the largest to the smallest."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def inclusion_path(index: int, size: int) -> list[list[Node]]:
    """The inclusion proof of leaf `index` in the tree of `size` leaves (RFC 6962, 2.1.1). Each hash of the proof is
    `fold_right` over one list of nodes. Raises ValueError if the tree does not have that leaf."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    path: list[list[Node]] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + largest_power(end - start)
        if index < middle:
            path.append(edge(middle, end))
            end = middle
        else:
            path.append(edge(start, middle))
            start = middle
    return path[::-1]


def consistency_path(first: int, second: int) -> list[list[Node]]:
    """The consistency proof: the tree of size `first` is a prefix of the tree of size `second` (RFC 6962, 2.1.2). In
    the form of `inclusion_path`. Empty if `first` is 0 or equals `second`. Raises ValueError if `first` is larger."""
    if not 0 <= first <= second:
        raise ValueError(f"a tree of {first} is no prefix of a tree of {second}")
    path: list[list[Node]] = []
    if first in (0, second):
        return path
    start, end, whole = 0, second, True
    while first < end:
        middle = start + largest_power(end - start)
        if first <= middle:
            path.append(edge(middle, end))
            end = middle
        else:
            path.append(edge(start, middle))
            start, whole = middle, False
    if not whole:
        path.append(edge(start, end))
    return path[::-1]


def largest_power(size: int) -> int:
    """The largest power of two that is less than `size`, for a size of at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def proof(path: list[list[Node]], node: Callable[[Node], bytes]) -> list[bytes]:
    """The hashes of a proof, from its path. `node` returns the hash of a complete node."""
    return [fold_right([node(named) for named in nodes]) for nodes in path]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that the leaf hash is at `index` in the tree of this size and root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    number, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if number & 1 or number == last:
            found = node_hash(sibling, found)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        number, last = number >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes) -> bool:
    """Whether `path` proves that the first tree is a prefix of the second one (RFC 9162, 2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first == second:
        return not path and first_root == second_root
    if first == 0:
        return not path and first_root == EMPTY_ROOT
    hashes = [first_root, *path] if first & (first - 1) == 0 else list(path)
    if not hashes:
        return False
    number, last = first - 1, second - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        number, last = number >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root
