"""Memory: large buffers go back to the system when they are freed."""

from __future__ import annotations

import ctypes
import sys

M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
LARGE_BYTES = 1024 * 1024
KEPT_BYTES = 16 * 1024 * 1024  # at the end of a heap, or small buffers would come and go by system calls


def give_back_large_buffers() -> None:
    """Large buffers are mapped, each by itself, and unmapped when they are freed (glibc; elsewhere nothing is done).

    Left alone, glibc takes the largest buffer that it ever freed as the measure, and keeps what is smaller in heaps,
    which shrink only from their end: after a few answers of many years a process would stay large for ever.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
