"""What reads answer, as types: the schemas of the OpenAPI document. The views make the bytes; the tests hold every
answer against these types."""
