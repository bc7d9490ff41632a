"""`hourbook audit`: verifies the history, exports it, makes the key that signs it."""
