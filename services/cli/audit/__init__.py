"""`hourbook audit`: the history exported, and verified without the database."""
