"""What proves the history: signed checkpoints of a Merkle tree over the stored events, and the tree's own hashes."""
