"""From a question to an answer: the freshness check, the cache, and the admission of costly reads."""
