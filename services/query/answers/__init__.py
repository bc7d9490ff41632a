"""From a question to an answer: how current it must be, the cache, and the line for costly reads."""
