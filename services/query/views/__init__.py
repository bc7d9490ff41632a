"""The SQL of the reads, one view in a file. A statement stands above the function that runs it.

Two kinds of SQL are elsewhere: the freshness checks in `answers/freshness.py`, and the sessions of point-in-time reads
in `as_of_database.py`.
"""
