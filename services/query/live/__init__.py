"""Live subscriptions to events and notices, as server-sent events."""
