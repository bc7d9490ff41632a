"""Validates commands against a project's state and appends events."""
