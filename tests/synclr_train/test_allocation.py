"""Large blocks are used again in the process that asks for it, and the user's own setting of malloc wins."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from synclr_train.allocation import keep_freed_memory
kept = keep_freed_memory()
import torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(40):
    torch.ones(2**24)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 40 * 2**24 * 4 // 4096
"""Page faults of 40 tensors of 64 MiB that are each mapped anew."""


def faults(**environment: str) -> tuple[bool, int]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    out = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=clean | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    kept, count = out.stdout.split()
    return kept == "True", int(count)


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_a_freed_block_is_used_again():
    kept, count = faults()
    assert kept
    assert count < PAGES / 2


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_the_users_setting_wins():
    kept, count = faults(MALLOC_MMAP_THRESHOLD_="1048576", THP_MEM_ALLOC_ENABLE="0")
    assert not kept
    assert count > 0.9 * PAGES
