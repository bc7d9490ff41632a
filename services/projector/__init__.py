"""Folds events into the read models, and nothing else writes them."""
