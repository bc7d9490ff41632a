"""The read models' rows in PostgreSQL, one read model a file: what the fold must know of them, and their writing."""
