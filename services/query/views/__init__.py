"""What is read, and how it becomes an answer: one view a file. Every SQL statement stands above the one function that
runs it."""
