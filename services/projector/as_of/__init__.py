"""The past of every row, kept so that reads can ask how it stood at an earlier position."""
