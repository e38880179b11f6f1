"""Freed memory is kept for the next step, not given back to the system.

PyTorch asks the C library for every tensor. glibc maps the large ones anew each time, such as the masked
codes' scores over the vocabulary, and the kernel then clears them page by page: a tenth of a step on a CPU.
"""

from __future__ import annotations

import ctypes

# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST_INT = (1 << 31) - 1


def keep_freed_memory() -> None:
    """For this process from here on; nothing where the C library has no such setting."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option:
        set_option(_M_MMAP_MAX, 0)
        set_option(_M_TRIM_THRESHOLD, _LARGEST_INT)
