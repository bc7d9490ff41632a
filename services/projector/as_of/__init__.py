"""Versions of every row, stored so that `as_of` can read the state at an earlier position."""
