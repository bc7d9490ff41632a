"""The sealer: adds the stored events to a Merkle tree and signs checkpoints of it. Only this service has the key."""
