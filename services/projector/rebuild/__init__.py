"""Another generation of the read models: filled from the events, compared, switched to, or verified."""
