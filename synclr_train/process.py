"""What a process that computes on the CPU sets for itself. Must be asked before torch is imported."""

from synclr_train.allocation import keep_freed_memory
from synclr_train.cores import share_cores


def prepare_process() -> None:
    """Share cores with other programs and keep freed memory, each unless the user decided otherwise."""
    share_cores()
    keep_freed_memory()
