"""Only reads: rollups, lists, history and the page."""
