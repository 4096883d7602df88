"""A step that its run gave up as lost although it lives: a node that only fell silent, a pod that went on.

The retry has taken the stage over, and Dagster knows a step by its name alone: it would take whatever the first attempt
still says for the word of the second, try a third, which fences the second off, and so on.
"""

import os
import sys

import dagster as dg

from synclr_assets.store.errors import FencedError

LOST_ATTEMPT = 75
"""Exit status of a process whose step a later attempt of its run has taken over (EX_TEMPFAIL)."""


def end_if_lost(context: dg.AssetExecutionContext, error: FencedError) -> None:
    """End this process, without a word to Dagster, where the overtaking attempt is one of the same run.

    Returns where it was another run. Two attempts of one run at once are processes of their own on every engine.
    """
    if error.by_run != context.run.run_id:
        return
    sys.stderr.write(f"{error} A later attempt of this step has it, and speaks for it from now on.\n")
    sys.stderr.flush()
    os._exit(LOST_ATTEMPT)
