"""The tables of the read models, one in each file: reads what the fold needs, writes what it changed."""
