"""Measurements on real servers, each a ratio against something run beside it: `uv run hourbook bench`."""
