"""Memory: the process gives a large buffer back to the system as soon as it frees it."""

from __future__ import annotations

import ctypes
import sys

M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
LARGE_BYTES = 1024 * 1024
KEPT_BYTES = 16 * 1024 * 1024  # free memory kept at the end of a heap, so that small buffers need no system calls


def give_back_large_buffers() -> None:
    """Tells glibc to map each large buffer by itself, and to unmap it when it is freed. Does nothing elsewhere.

    By default glibc raises its threshold to the largest buffer that was ever freed, and puts smaller ones into heaps.
    A heap shrinks only from its end. So after a few answers of many years the process would stay large for ever.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
