"""Grows the Merkle tree over the stored events and signs what it has come to. It alone holds the key."""
