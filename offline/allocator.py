"""The C library's allocator set up for training.

By default glibc maps and unmaps every large block, and the page faults take up to half of a training step.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""From malloc.h."""


def keep_memory() -> None:
    """Keep freed memory for the next step; does nothing where the C library is not glibc."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
