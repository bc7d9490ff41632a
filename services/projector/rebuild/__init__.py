"""New generations of the read models: loaded from the events, compared with the live one, made live or dropped."""
