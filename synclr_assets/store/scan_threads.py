"""Ending well after a scan. Arrow's threads may still run a scan's last destructor while the interpreter is taken
down, which then aborts a process that did all its work (apache/arrow#34314, pyarrow 26: 27 of 150 ends).
"""

import atexit
import functools
import gc
import time

SETTLING_SECONDS = 0.1
"""No abort in 120 ends, on two busy cores."""


@functools.cache
def settle_at_exit() -> None:
    """From the first scan on, this process waits a moment when it ends."""
    atexit.register(_settle)


def _settle() -> None:
    gc.collect()
    time.sleep(SETTLING_SECONDS)
