"""The notifier: makes notices (scheduled notifications), publishes them on their stream, and calls webhooks."""
