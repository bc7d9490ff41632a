"""What subscribers follow: events and notices, as server-sent events."""
