"""`hourbook heal`: compares the event store and the event stream, and gives back what the store has lost."""
