"""Torture: the doubled set-up under random kills, pauses and cuts of every part, and the whole check at the end."""
