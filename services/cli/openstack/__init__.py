"""OpenStack's documents become commands of Hourbook: `hourbook import` and `hourbook sync`.

Without I/O: document (text → items) → nova, blazar, magnum (items → desired state) → plan (desired and current state →
steps). With I/O: importing (files), syncing and cloud (OpenStack's APIs), apply (the steps, over Hourbook's HTTP).
"""
