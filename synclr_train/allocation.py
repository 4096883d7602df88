"""How a process that trains on the CPU keeps its memory."""

import ctypes
import os

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt(3)."""
LARGEST = 2**31 - 1
"""Freed bytes at the heap's end that are given back to the system beyond this, about 2 GiB."""


def keep_freed_memory() -> bool:
    """Let the C allocator reuse large blocks; whether it does so from now on.

    glibc maps every block of more than 32 MiB anew and unmaps it when freed, so each tensor of a step is paged in
    again: with 65 536 prototypes that is a fifth of the step. Systems without mallopt, and users who set
    MALLOC_MMAP_MAX_ or MALLOC_MMAP_THRESHOLD_, keep what they have. Resident memory stays at its peak, which was
    4 % higher.
    """
    if {"MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys() or os.name != "posix":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, LARGEST))
