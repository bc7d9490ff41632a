"""What OpenStack's own APIs answer, read as what it means in Hourbook. No I/O: documents in, wishes and calls out.

document (text → items) → nova, blazar, magnum (items → wanted) → plan (wanted and present → the calls to make).
"""
