"""Tells others: what time brings, as notices on their own stream, and events and notices by webhook."""
