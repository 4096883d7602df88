"""How training shares CPU cores with other programs. Must be asked before torch is imported."""

import os

SPINS_BEFORE_SLEEP = "4000"
"""Between the two best: on idle cores 1000 costs training 30 % and the probe half as much again, this 15 %; beside one
busy process this costs 15 to 27 % more than 1000, and OpenMP's own number three to four times the time."""


def share_cores() -> None:
    """Let idle OpenMP threads sleep early, unless the user decided otherwise (GOMP_SPINCOUNT).

    By default they spin for about a millisecond; when another program holds one of the cores, the spinning
    thread takes the time that its own partner needs, and a training step becomes ten times slower.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS_BEFORE_SLEEP)
