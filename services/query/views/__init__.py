"""Every SQL statement of a read, one view a file. A statement stands above the one function that runs it."""
